"""The settings of a tenant are validated together: those that do not fit are refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from server.tenants.settings import TenantRefused, TenantSettings, changed, etag, from_texts

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
        ({"field_mapping": {"Mail": "mail"}}, "is not a field"),
        ({"field_mapping": {"email": ""}}, "no header for email"),
        ({"field_mapping": {"Email": "job_title"}}, "no header for email"),
        ({"field_mapping": {"\ud800": "email"}}, "half a character"),
        ({"value_mapping": {"location": {"HQ": "\ud800"}}}, "half a character"),
        ({"field_mapping": {"Mail": "email", " MAIL": "email"}}, "twice"),
        ({"field_mapping": {"_code": "email"}}, "cannot map the header"),
        ({"field_mapping": {" ": "email"}}, "cannot map the header"),
        ({"field_mapping": "Mail=email"}, "field_mapping: must be JSON text"),
        ({"custom_fields": "[" * 100_000}, "custom_fields: must be JSON text"),
        ({"value_mapping": {"shoe": {"a": "b"}}}, "is not a field"),
        ({"value_mapping": {"role": {"Boss": "king"}}}, "No such role"),
        ({"value_mapping": {"role": {"Boss": "hr", "BOSS ": "admin"}}}, "twice"),
        ({"value_mapping": {"role": {" ": "hr"}}}, "blank"),
        ({"value_mapping": {"email": {"a@b.test": "c@d.test"}}}, "it identifies users"),
        ({"value_mapping": {"shift": {"E": "Noon"}}, "custom_fields": [SHIFT]}, "No such choice"),
        ({"custom_fields": [{"key": "Shoe Size"}]}, "custom_fields: entry 1, key: must begin with a letter"),
        ({"custom_fields": [{"key": "email"}]}, "it is reserved"),
        ({"custom_fields": [{"key": "skills"}]}, "it is reserved"),
        ({"custom_fields": [BADGE, BADGE]}, "two custom fields"),
        ({"custom_fields": [{"key": "shift", "type": "choice"}]}, "must name its choices"),
        ({"custom_fields": [{**BADGE, "choices": ["a"]}]}, "its type must be choice"),
        ({"custom_fields": [{**SHIFT, "choices": ["Late", "late"]}]}, "differ in more"),
        ({"custom_fields": [{**SHIFT, "choices": ["\u200bLate"]}]}, "no spaces around"),
        ({"custom_fields": [{**SHIFT, "choices": ["Sch\u00f6n", "Scho\u0308n"]}]}, "differ in more"),
        (
            {"custom_fields": [{"key": "x", "type": "colour"}]},
            "custom_fields: entry 1, type: must be “text”, “number”",
        ),
        ({"notify_email": "ann@example.com, nobody"}, "notify_email"),
        ({"notify_webhook": "ftp://example.com/"}, "notify_webhook: must be a web address"),
        ({"notify_webhook": "https://example.com:99999/"}, "notify_webhook: must be a web address"),
        ({"notify_webhook": "https://bücher.example/"}, "notify_webhook: must be a web address in ASCII"),
        ({"notify_webhook": "https://example.com/ hook"}, "notify_webhook: must be a web address in ASCII"),
        ({"notify_webhook": "https://:secret@example.com/"}, "notify_webhook: must be a web address"),
        ({"retention_days": 0}, "retention_days"),
    ],
)
def test_invalid_settings_are_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), changes)
    assert reason in caught.value.message


NOW = datetime(2026, 11, 28, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        ("tomorrow", "must be a time with its zone, such as 2026-12-31T08:00:00Z or"),
        ("2026-12-31", "must be a time with its zone"),
        ("2026-12-31T08:00:00", "must be a time with its zone"),
        ("0001-01-01T00:00:00+12:00", "must be a time with its zone"),
        ("2026-11-28T22:00:00Z", "2026-11-28 22:00 UTC is past. Set a later time, or reset the setting to end"),
        ("2027-11-30T22:00:00Z", "2027-11-30 22:00 UTC is more than 366 days ahead. Set an earlier time"),
    ],
)
def test_a_pause_ends_at_a_time_to_come_within_a_year(until: str, reason: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), {"paused_until": until}, at=NOW)
    assert caught.value.message.startswith("paused_until: ")
    assert reason in caught.value.message
    assert caught.value.setting == "paused_until"


def test_the_end_of_a_pause_is_stored_in_utc() -> None:
    for until in ("2026-12-31T09:00:00+01:00", " 2026-12-31T08:00Z", datetime(2026, 12, 31, 8, tzinfo=UTC)):
        assert changed(TenantSettings(), {"paused_until": until}, at=NOW).paused_until == "2026-12-31T08:00:00.000Z"


def test_a_pause_that_is_over_hinders_no_other_change() -> None:
    over = TenantSettings(paused_until="2026-11-01T08:00:00Z")
    assert changed(over, {"max_sessions": 3}, at=NOW).paused_until == over.paused_until
    assert changed(over, {"paused_until": over.paused_until}, whole=True, at=NOW) == over
    assert changed(over, {"paused_until": None}, at=NOW).paused_until is None


def test_the_reason_of_a_pause_is_one_short_line() -> None:
    for reason in ("a\nb", "x" * 201):
        with pytest.raises(TenantRefused, match="paused_because"):
            changed(TenantSettings(), {"paused_because": reason})
    assert changed(TenantSettings(), {"paused_because": " Move "}).paused_because == "Move"


def test_settings_are_read_as_typed_on_a_command_line() -> None:
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


def test_choices_are_stored_in_the_form_in_which_cells_are_compared() -> None:
    shift = {**SHIFT, "choices": ["Fru\u0308h"]}
    after = changed(TenantSettings(), {"custom_fields": [shift], "value_mapping": {"shift": {"F": "fru\u0308h"}}})
    assert after.custom_fields[0].choices == ("Fr\u00fch",)


def test_the_custom_field_of_the_identifier_cannot_be_removed() -> None:
    now = TenantSettings(custom_fields=[BADGE], identifier="badge")
    with pytest.raises(TenantRefused):
        changed(now, {"custom_fields": None})
    assert changed(now, {"custom_fields": None, "identifier": None}) == TenantSettings()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_sessions": "many"}, "max_sessions: must be a whole number, not “many”"),
        ({"max_sessions": 0}, "max_sessions: must be at least 1, not 0"),
        ({"max_updates_percent": "a tenth"}, "max_updates_percent: must be a number, not “a tenth”"),
        ({"max_updates_percent": 101}, "max_updates_percent: must be at most 100, not 101"),
        ({"detect_truncation": 7}, "detect_truncation: must be true or false, not 7"),
        ({"quota_bytes": "10 elephants"}, "quota_bytes: must be a size in bytes, or with a unit"),
        ({"encoding": ["utf-8"]}, 'encoding: must be text, not ["utf-8"]'),
        ({"blank_cells": "guess"}, "blank_cells: must be “clear” or “keep”, not “guess”"),
        ({"notify_email": 7}, "notify_email: must be email addresses separated by commas, not 7"),
        (
            {"notify_email": "a@b.test, nobody"},
            "notify_email: “nobody” is not an email address such as ann@example.com",
        ),
        (
            {"value_mapping": {"role": {"Boss": "king"}}},
            "value_mapping maps “Boss” to “king” for role: No such role. Write",
        ),
        ({"allowed_networks": 7}, "allowed_networks: must be networks such as 192.0.2.0/24"),
        ({"allowed_networks": [7]}, "allowed_networks: “7” is not a network"),
        ({"field_mapping": [1]}, "field_mapping: must be a table, not [1]"),
        ({"value_mapping": {"role": "x"}}, "value_mapping: role: must be a table, not “x”"),
        ({"custom_fields": {"key": "x"}}, "custom_fields: must be a list, not"),
        ({"custom_fields": ["x"]}, "custom_fields: entry 1: must be a table, not “x”"),
        ({"custom_fields": [{"type": "text"}]}, "custom_fields: entry 1, key: is missing"),
        ({"custom_fields": [{"key": "x", "size": 1}]}, "custom_fields: entry 1, size: is unknown"),
        ({"invitation_templates": {"en": "Hello"}}, "invitation_templates: en: must be a table, not “Hello”"),
        ({"notify_webhook": "x" * 1000}, "notify_webhook: must be a web address"),
    ],
)
def test_a_wrong_type_is_refused_with_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), changes)
    assert caught.value.message.startswith(sentence)
    assert len(caught.value.message) < 300
    assert "., " not in caught.value.message


JUNK: tuple[Any, ...] = (
    "",
    "x",
    "\ud800",
    -1,
    2**80,
    1.5,
    float("inf"),
    True,
    [],
    [None],
    {},
    {"x": None},
    b"x",
    object(),
)


@pytest.mark.parametrize("name", TenantSettings.model_fields)
def test_no_error_of_a_setting_has_the_words_of_the_library(name: str) -> None:
    refusals = [refusal for junk in JUNK if (refusal := refusal_of(name, junk))]
    assert refusals
    for refusal in refusals:
        assert "Input" not in refusal.message
        assert "is not a valid value" not in refusal.message
        assert refusal.setting == name


def refusal_of(name: str, value: object) -> TenantRefused | None:
    try:
        changed(TenantSettings(), {name: value})
    except TenantRefused as refusal:
        return refusal
    return None


def test_all_wrong_settings_are_reported_at_once_each_beside_its_field() -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), {"delimiter": "::", "max_sessions": "many", "custom_fields": [{"key": "A"}]})
    assert list(caught.value.settings) == ["delimiter", "custom_fields", "max_sessions"]
    assert caught.value.setting == "delimiter"
    assert caught.value.settings["max_sessions"] == "must be a whole number, not “many”"
    assert caught.value.settings["custom_fields"].startswith("entry 1, key: must begin with a letter")


def test_settings_that_do_not_fit_together_are_reported_beside_a_field() -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), {"identifier": "badge"})
    assert list(caught.value.settings) == ["identifier"]


def test_unknown_settings_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(TenantRefused) as caught:
        changed(TenantSettings(), {"delimeter": ";", "colour": "red"})
    assert caught.value.settings["delimeter"] == "there is no tenant setting delimeter; did you mean delimiter?"
    assert list(caught.value.settings) == ["delimeter", "colour"]


def test_the_etag_of_settings_depends_on_values_and_the_order_of_tables() -> None:
    first = changed(TenantSettings(), {"field_mapping": {"A": "email", "B": "email"}})
    second = changed(TenantSettings(), {"field_mapping": {"B": "email", "A": "email"}})
    assert len({etag(TenantSettings()), etag(first), etag(second)}) == 3
    assert etag(changed(first, {})) == etag(first)


@pytest.mark.parametrize(
    "name", ["max_deactivations_percent", "retention_days", "max_file_bytes", "stale_after_days"]
)
def test_true_is_not_accepted_as_a_number(name: str) -> None:
    with pytest.raises(TenantRefused, match="must be a number, not true"):
        changed(TenantSettings(), {name: True})


ON, PLAIN = {"invitations": "immediately"}, {"en": {"subject": "Hi", "text": "Hello"}}
LINKED = {"en": {"subject": "Hi", "text": "Hello: https://example.com"}}


@pytest.mark.parametrize("changes", [ON, {**ON, "invitation_templates": PLAIN}, {"invitations": "on_hire_date"}])
def test_invitations_without_a_link_are_refused_when_they_are_turned_on(changes: dict[str, Any]) -> None:
    with pytest.raises(TenantRefused, match=r"^invitations: an invitation needs a link\. Add one") as caught:
        changed(TenantSettings(), changes)
    assert caught.value.setting == "invitations"
    for whole in (False, True):
        assert (
            changed(TenantSettings(), changes, whole=whole, public_url="https://hr.example.com").invitations != "off"
        )
    linked = changed(TenantSettings(), {**changes, "invitation_templates": LINKED})
    assert linked.invitations == changes["invitations"]


def test_invitations_that_are_on_already_stay_as_they_are() -> None:
    stored = from_texts({"invitations": '"immediately"'})
    assert changed(stored, {"max_sessions": 3}).invitations == "immediately"
    assert changed(stored, {**ON, "max_sessions": 3}, whole=True).invitations == "immediately"
    assert changed(stored, {"invitations": "off"}).invitations == "off"
    with pytest.raises(TenantRefused, match="needs a link"):
        changed(stored, {"invitations": "on_hire_date"})


@pytest.mark.parametrize(
    "templates",
    [None, {"en": PLAIN["en"]}, {"de": LINKED["en"]}, {"en": LINKED["en"], "de": PLAIN["en"]}],
    ids=["none", "no link", "no en", "one of two has no link"],
)
def test_invitations_never_lose_their_link(templates: dict[str, Any] | None) -> None:
    on = changed(TenantSettings(), {**ON, "invitation_templates": LINKED})
    change = {"invitation_templates": templates}
    with pytest.raises(TenantRefused, match=r"^invitation_templates: an invitation needs a link") as caught:
        changed(on, change)
    assert caught.value.setting == "invitation_templates"
    with pytest.raises(TenantRefused, match=r"^invitations: an invitation needs a link"):
        changed(TenantSettings(), {**ON, **change})
    assert changed(on, change, public_url="https://hr.example.com").invitations == on.invitations
    off = changed(on, {**change, "invitations": "off"})
    assert off.invitations == "off"
