"""The rule of each column, under the settings of a tenant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from importer.rules.cells import (
    Doubtful,
    FieldValue,
    Invalid,
    check_active,
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
    "active": check_active,
}


def rules_of(date_format: str, custom_fields: Iterable[CustomField]) -> dict[str, Rule]:
    """Return the rule of every field."""
    return {
        **STANDARD,
        "hire_date": partial(check_date, date_format=date_format),
        "leave_date": partial(check_date, date_format=date_format),
        **{field.key: rule_of(field, date_format) for field in custom_fields},
    }


WORDS_NAMED = 10
"""The most words that such a message names."""

CLOSED = frozenset(
    {"unknown_role", "unknown_language", "unknown_time_zone", "unknown_choice", "bad_boolean", "bad_deactivate"}
)
"""Codes of a value that is not in a list."""


def with_words_named(rule: Rule, theirs: Mapping[str, str]) -> Rule:
    """Return `rule` with messages of CLOSED that also name the words of `theirs`, which maps word to meaning."""
    if not theirs:
        return rule
    named = [f"“{word}” ({ours or 'a blank cell'})" for word, ours in list(theirs.items())[:WORDS_NAMED]]
    words = ", ".join(named) + (", …" if len(theirs) > WORDS_NAMED else "")

    def judge(text: str) -> FieldValue | Invalid | Doubtful:
        found = rule(text)
        if isinstance(found, Invalid) and found.code in CLOSED:
            return Invalid(found.code, f"{found.message} Your settings also accept: {words}.")
        return found

    return judge
