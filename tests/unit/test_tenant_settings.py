"""The settings of a tenant are checked as a whole: what does not go together is refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from server.tenant_settings import TenantRefused, TenantSettings, changed

BADGE = {"key": "badge", "type": "text"}
SHIFT = {"key": "shift", "label": "Shift", "type": "choice", "choices": ["Early", "Late"]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identifier": "badge"}, "identifier must be email or the key of a custom field"),
        ({"identifier": "first_name"}, "identifier must be email"),
        ({"identifier": "n", "custom_fields": [{"key": "n", "type": "number"}]}, "its type must be text"),
        ({"delimiter": "::"}, "delimiter: must be a comma"),
        ({"encoding": "klingon"}, "encoding: must be the name of an encoding"),
        ({"encoding": "base64"}, "encoding: must be"),
        ({"encoding": "unicode_escape"}, "encoding: must be"),
        ({"encoding": "utf-7"}, "encoding: must be"),
        ({"date_format": "%d.%m."}, "date_format: must name year, month and day"),
        ({"date_format": "%Y-%m-%d %d"}, "date_format: must name"),
        ({"date_format": "YYYY-MM-DD"}, "date_format: must name"),
        ({"date_format": "%Y-%m-%q"}, "date_format: must name"),
        ({"date_format": "%Y%m%d %"}, "date_format: must name"),
        ({"date_format": "%m/%d/%Y %M:%M"}, "date_format: must name"),
        ({"field_mapping": {"Mail": "mail"}}, "is no field"),
        ({"field_mapping": {"email": ""}}, "no header for email"),
        ({"field_mapping": {"Email": "job_title"}}, "no header for email"),
        ({"field_mapping": {"\ud800": "email"}}, "half a character"),
        ({"value_mapping": {"location": {"HQ": "\ud800"}}}, "half a character"),
        ({"field_mapping": {"Mail": "email", " MAIL": "email"}}, "twice"),
        ({"field_mapping": {"_code": "email"}}, "can't map the header"),
        ({"field_mapping": {" ": "email"}}, "can't map the header"),
        ({"field_mapping": "Mail=email"}, "field_mapping: must be JSON text"),
        ({"custom_fields": "[" * 100_000}, "custom_fields: must be JSON text"),
        ({"value_mapping": {"shoe": {"a": "b"}}}, "is no field"),
        ({"value_mapping": {"role": {"Boss": "king"}}}, "There is no such role"),
        ({"value_mapping": {"role": {"Boss": "hr", "BOSS ": "admin"}}}, "twice"),
        ({"value_mapping": {"role": {" ": "hr"}}}, "blank"),
        ({"value_mapping": {"email": {"a@b.test": "c@d.test"}}}, "tell people apart"),
        ({"value_mapping": {"shift": {"E": "Noon"}}, "custom_fields": [SHIFT]}, "There is no such choice"),
        ({"custom_fields": [{"key": "Shoe Size"}]}, "custom_fields.0.key"),
        ({"custom_fields": [{"key": "email"}]}, "has a meaning already"),
        ({"custom_fields": [{"key": "skills"}]}, "has a meaning already"),
        ({"custom_fields": [BADGE, BADGE]}, "two custom fields"),
        ({"custom_fields": [{"key": "shift", "type": "choice"}]}, "must name its choices"),
        ({"custom_fields": [{**BADGE, "choices": ["a"]}]}, "its type must be choice"),
        ({"custom_fields": [{**SHIFT, "choices": ["Late", "late"]}]}, "differ in more"),
        ({"custom_fields": [{**SHIFT, "choices": ["\u200bLate"]}]}, "no spaces around"),
        ({"custom_fields": [{**SHIFT, "choices": ["Sch\u00f6n", "Scho\u0308n"]}]}, "differ in more"),
        ({"custom_fields": [{"key": "x", "type": "colour"}]}, "custom_fields.0.type"),
        ({"notify_email": "ann@example.com, nobody"}, "notify_email"),
        ({"notify_webhook": "ftp://example.com/"}, "notify_webhook: must be a web address"),
        ({"notify_webhook": "https://example.com:99999/"}, "notify_webhook: must be a web address"),
        ({"notify_webhook": "https://bücher.example/"}, "notify_webhook: must be a web address in ASCII"),
        ({"notify_webhook": "https://example.com/ hook"}, "notify_webhook: must be a web address in ASCII"),
        ({"notify_webhook": "https://:secret@example.com/"}, "notify_webhook: must be a web address"),
        ({"retention_days": 0}, "retention_days"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), changes)
    assert reason in caught.value.message


def test_settings_as_they_are_typed_are_understood() -> None:
    after = changed(
        TenantSettings(),
        {
            "delimiter": "tab",
            "encoding": "CP1252",
            "date_format": "%m/%d/%Y",
            "field_mapping": '{"EmpID": "badge", "Badge No": "badge", "Notes": ""}',
            "value_mapping": '{"role": {"Boss": "admin"}, "deactivate": {"Gone": "yes"}, "shift": {"E": "early"}}',
            "custom_fields": '[{"key": "badge"}, {"key": "shift", "type": "choice", "choices": ["Early", "Late"]}]',
            "identifier": "badge",
            "notify_email": "Ann@Example.com, bo@example.com",
        },
    )
    assert after.delimiter == "\t"
    assert after.encoding == "cp1252"
    assert list(after.field_mapping) == ["EmpID", "Badge No", "Notes"]
    assert after.columns[-2:] == ("badge", "shift")
    assert after.notify_email == ("Ann@example.com", "bo@example.com")


def test_spaces_around_a_date_format_do_not_count() -> None:
    assert changed(TenantSettings(), {"date_format": " %d.%m.%Y "}).date_format == "%d.%m.%Y"


def test_choices_are_kept_as_cells_are_compared() -> None:
    shift = {**SHIFT, "choices": ["Fru\u0308h"]}
    after = changed(TenantSettings(), {"custom_fields": [shift], "value_mapping": {"shift": {"F": "fru\u0308h"}}})
    assert after.custom_fields[0].choices == ("Fr\u00fch",)


def test_a_field_that_is_still_the_identifier_can_not_be_taken_away() -> None:
    now = TenantSettings(custom_fields=[BADGE], identifier="badge")
    with pytest.raises(TenantRefused):
        changed(now, {"custom_fields": None})
    assert changed(now, {"custom_fields": None, "identifier": None}) == TenantSettings()
