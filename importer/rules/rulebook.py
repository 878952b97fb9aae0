"""Which rule goes with which column, under the settings of a tenant.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from importer.rules.cells import (
    check_date,
    check_deactivate,
    check_reference,
    check_role,
    check_teams,
    check_text,
)
from importer.rules.custom import CustomField, Rule, rule_of
from importer.rules.emails import check_email
from importer.rules.languages import check_language
from importer.rules.timezones import check_time_zone

STANDARD: dict[str, Rule] = {
    "first_name": check_text,
    "last_name": check_text,
    "email": check_email,
    "job_title": check_text,
    "manager": check_reference,
    "coach": check_reference,
    "primary_team": check_text,
    "secondary_team": check_teams,
    "role": check_role,
    "language": check_language,
    "location": check_text,
    "time_zone": check_time_zone,
    "deactivate": check_deactivate,
}


def rules_of(date_format: str, custom_fields: Iterable[CustomField]) -> dict[str, Rule]:
    """The rule of every column that means something."""
    return {
        **STANDARD,
        "hire_date": partial(check_date, date_format=date_format),
        **{field.key: rule_of(field, date_format) for field in custom_fields},
    }
