"""The form of a tenant's settings shows their values, and changes nothing if it is sent without edits."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ground.moments import rfc3339, utc_now
from importer.rules.cells import LANGUAGES
from server.tenants.hook_settings import SETTINGS as OF_HOOKS
from server.tenants.hook_settings import KnownHook
from server.tenants.setting_texts import SETTING_TEXTS
from server.tenants.settings import TenantSettings, differences
from server.tenants.settings import changed as changed_with
from server.web.pages.settings.controls import CONTROLS, LANGUAGE_NAMES, TYPES, Kind
from server.web.pages.settings.form import (
    as_sent,
    put_together,
    rows_of,
    shown,
    shown_setting,
    touched,
    wanted,
    with_row,
    without_row,
)
from server.web.pages.settings.notation import mapping_lines, size_text
from server.web.pages.settings.words import in_words


class Invoices(BaseModel):
    currency: str = "EUR"
    limit: int = 0


DEFAULTS = TenantSettings()
USABLE = {"invoices": KnownHook("/invoices/*.csv", Invoices), "scans": KnownHook("/scans/*", None)}
changed = partial(changed_with, hooks=USABLE)
EVERY: dict[str, Any] = {
    "identifier": "employee_id",
    "deactivate_missing": True,
    "reactivate_returning": False,
    "blank_cells": "keep",
    "max_deactivations_percent": 12.5,
    "max_deactivations_min": 0,
    "max_creations_percent": 0,
    "max_updates_percent": 33.25,
    "max_row_drop_percent": 100,
    "require_final_newline": False,
    "detect_truncation": False,
    "require_checksum": True,
    "delimiter": "\t",
    "encoding": "cp1252",
    "skip_first_lines": 3,
    "skip_last_lines": 1,
    "date_format": "%d.%m.%Y",
    "field_mapping": {"Vorname": "first_name", "a = b": "last_name", ' "E-Mail"\t': "email", "Pay": ""},
    "value_mapping": {
        "role": {"Manager": "curator", "n/a": "", "= x": "hr"},
        "location": {"HQ": "München = M\u200b"},
    },
    "custom_fields": [
        {"key": "employee_id", "label": "Number"},
        {"key": "shift", "label": "", "type": "choice", "choices": ["Early, 6 a.m.", '"Late"', "a\nb"]},
    ],
    "invitations": "on_hire_date",
    "paused_until": rfc3339(utc_now() + timedelta(days=30)),
    "paused_because": "Migration",
    "notify_email": ["a@example.com", "b@example.com"],
    "notify_webhook": "https://example.com/hooks?x=1",
    "notify_digest": "weekly",
    "invitation_templates": {
        "pt-BR": {"subject": "Olá", "text": "\nOlá {first_name},\r\n\r\n  bem-vindo! https://example.com\n"},
        "en": {"subject": "Hello", "text": "https://example.com"},
    },
    "stale_after_days": 7,
    "retention_days": 30,
    "kept_bytes": 7654321,
    "quota_bytes": 1234567,
    "quota_files": 0,
    "max_file_bytes": 500_000_000,
    "max_waiting_imports": 7,
    "max_sessions": 3,
    "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
    "hooks": ["invoices"],
    "hook_settings": {"invoices": {"currency": "CHF"}},
}


def browser(form: dict[str, str]) -> dict[str, str]:
    """Return what a browser sends for a form without edits: a switch is sent twice, lines end with CRLF."""
    pairs = []
    for name, text in form.items():
        control = CONTROLS[name.partition(".")[0]]
        if control.kind is Kind.SWITCH:
            pairs += [(name, "off")] + ([(name, "on")] if text == "on" else [])
        else:
            pairs.append((name, text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")))
    return as_sent(pairs)


def values_of(**settings: Any) -> dict[str, Any]:
    return changed(DEFAULTS, settings).to_json()


def test_every_setting_has_a_control_and_a_text() -> None:
    assert CONTROLS.keys() == SETTING_TEXTS.keys() == TenantSettings.model_fields.keys()
    assert list(LANGUAGE_NAMES) == list(LANGUAGES)
    assert set(TYPES) == {"text", "number", "date", "boolean", "choice"}


def test_the_examples_are_of_every_setting_and_no_default() -> None:
    assert EVERY.keys() == TenantSettings.model_fields.keys()
    assert differences(DEFAULTS, changed(DEFAULTS, EVERY)).keys() == EVERY.keys()


@pytest.mark.parametrize("settings", [{}, EVERY], ids=["defaults", "every"])
def test_a_form_sent_without_edits_changes_nothing(settings: dict[str, Any]) -> None:
    values = values_of(**settings)
    assert touched(browser(shown(values)), values) == []


@pytest.mark.parametrize("setting", [name for name in EVERY if name not in {"invitation_templates", *OF_HOOKS}])
def test_what_the_form_shows_can_be_read_again(setting: str) -> None:
    values = values_of(**EVERY)
    typed = {**browser(shown(DEFAULTS.to_json())), **browser(shown_setting(setting, values[setting]))}
    found = wanted(typed, DEFAULTS.to_json())
    assert found.unreadable == {}
    assert list(found.changes) == [setting]
    assert changed(DEFAULTS, {**EVERY, **found.changes}).to_json()[setting] == values[setting]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(texts, texts, max_size=5))
def test_any_mapping_can_be_read_again(mapping: dict[str, str]) -> None:
    seen = DEFAULTS.to_json()
    typed = browser({"field_mapping": mapping_lines(mapping) + " "})
    assert wanted(typed, seen).changes == {"field_mapping": mapping}


@given(texts, texts, texts, st.lists(texts.filter(bool), max_size=4))
def test_any_text_in_a_table_is_sent_back_without_a_change(
    subject: str, text: str, label: str, choices: list[str]
) -> None:
    values = {
        **DEFAULTS.to_json(),
        "invitation_templates": {"en": {"subject": subject, "text": text}},
        "custom_fields": [{"key": "a", "label": label.replace("\0", ""), "type": "choice", "choices": choices}],
    }
    sent = browser({name: text.replace("\0", "\ufffd") for name, text in shown(values).items()})
    lines = {
        name: text.replace("\n", "") if name.endswith(("subject", "label")) else text for name, text in sent.items()
    }
    assert touched(lines, values) == []


@given(st.integers(0, 2**63 - 1))
def test_any_size_is_read_back_exactly(count: int) -> None:
    assert changed(DEFAULTS, {"quota_bytes": size_text(count)}).quota_bytes == count


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (10 * 2**30, "10 GiB"), (5 * 10**8, "500 MB"), (1536, "1536"), (2048, "2 KiB")]
)
def test_sizes_are_written_with_the_largest_exact_unit(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("setting", "typed", "value"),
    [
        ("max_deactivations_percent", " 12,5 % ", 12.5),
        ("max_deactivations_percent", "", 10),
        ("max_creations_percent", "", None),
        ("stale_after_days", "7", 7),
        ("quota_bytes", "1.5 GiB", 3 * 2**29),
        ("delimiter", "semicolon", ";"),
        ("deactivate_missing", "on", True),
        ("notify_email", "a@Example.com,  b@example.com", ["a@example.com", "b@example.com"]),
        ("notify_email", " ", []),
        ("allowed_networks", "192.0.2.1, ", ["192.0.2.1/32"]),
        (
            "field_mapping",
            'Vorname=first_name\n\n"a = b" = last_name\nPay=',
            {"Vorname": "first_name", "a = b": "last_name", "Pay": ""},
        ),
    ],
)
def test_typed_values_are_understood(setting: str, typed: str, value: Any) -> None:
    found = wanted(as_sent([(setting, typed)]), values_of(notify_email="c@example.com"))
    assert found.unreadable == {}
    assert changed(DEFAULTS, found.changes).to_json()[setting] == value


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"field_mapping": "Vorname"}, "line 1: write the text in your file, then =, then the Headcount name"),
        ({"field_mapping": 'a = email\n"b = email'}, "line 2: add the closing quote"),
        ({"field_mapping": '"a" b = email'}, "line 1: write the text"),
        ({"field_mapping": "a = email\na = role"}, "line 2: “a” is on two lines; remove one"),
        ({"quota_files": "10.000"}, "must be a whole number in digits only, such as 10000, not “10.000”"),
        (
            {"value_mapping": "rows", "value_mapping.0.field": "", "value_mapping.0.values": "a = b"},
            "entry 1: choose the field",
        ),
        (
            {
                "invitation_templates": "rows",
                "invitation_templates.0.language": "en",
                "invitation_templates.4.language": "en",
            },
            "entry 2: the language “en” is chosen twice; merge the two entries",
        ),
    ],
)
def test_a_value_that_cannot_be_read_gets_an_error_and_changes_nothing(form: dict[str, str], sentence: str) -> None:
    found = wanted(form, DEFAULTS.to_json())
    assert found.changes == {}
    (told,) = found.unreadable.values()
    assert sentence in told


def test_a_setting_that_was_not_sent_keeps_its_value() -> None:
    assert wanted({"max_sessions": "3"}, values_of(**EVERY)).changes == {}
    assert wanted({"max_sessions": "4"}, values_of(**EVERY)).changes == {"max_sessions": "4"}


def test_a_table_can_be_emptied_and_blank_rows_are_ignored() -> None:
    values = values_of(custom_fields=EVERY["custom_fields"])
    assert wanted({"custom_fields": "rows"}, values).changes == {"custom_fields": []}
    blank = {"custom_fields": "rows", "custom_fields.0.key": " ", "custom_fields.0.type": "text"}
    assert wanted(blank, values).changes == {"custom_fields": []}


def test_adding_and_removing_a_row_keeps_the_others() -> None:
    form = browser(shown(values_of(**EVERY)))
    more = with_row(form, "custom_fields")
    assert [row["key"] for row in rows_of(more, "custom_fields")] == ["employee_id", "shift", ""]
    less = without_row(more, "custom_fields", 0)
    assert [row["key"] for row in rows_of(less, "custom_fields")] == ["shift", ""]
    assert {name: text for name, text in less.items() if "custom_fields" not in name} == {
        name: text for name, text in form.items() if "custom_fields" not in name
    }


def test_the_edits_of_two_owners_are_merged_in_the_form() -> None:
    seen, now = values_of(), values_of(max_sessions=4, retention_days=30)
    mine = {**browser(shown(seen)), "max_sessions": "7"}
    form = put_together(mine, seen, now)
    assert (form["max_sessions"], form["retention_days"]) == ("7", "30")
    assert wanted(form, now).changes == {"max_sessions": "7"}


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("deactivate_missing", "on"),
        ("max_deactivations_percent", "12.5 %"),
        ("retention_days", "30 days"),
        ("max_waiting_imports", "7 imports"),
        ("max_file_bytes", "500 MB"),
        ("delimiter", "Tab"),
        ("identifier", "employee_id"),
        ("allowed_networks", "192.0.2.0/24, 2001:db8::/32"),
        ("invitations", "On the hire date"),
        ("value_mapping", "role: Manager = curator\nrole: n/a ="),
        ("custom_fields", "employee_id: Number, text\nshift: shift, choice ("),
        ("invitation_templates", "Portuguese (Brazil): Olá"),
    ],
)
def test_values_are_written_in_words(setting: str, sentence: str) -> None:
    assert in_words(setting, values_of(**EVERY)[setting]).startswith(sentence)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("retention_days", 1, "1 day"),
        ("stale_after_days", 2, "2 days"),
        ("quota_files", 0, "0 files"),
        ("quota_files", 1, "1 file"),
        ("quota_files", 10_000, "10,000 files"),
        ("max_sessions", 1, "1"),
        ("max_updates_percent", 1, "1 %"),
    ],
)
def test_a_number_is_written_with_the_right_unit(setting: str, value: int, text: str) -> None:
    assert in_words(setting, value) == text


def test_every_default_can_be_written_in_words() -> None:
    for setting, value in DEFAULTS.to_json().items():
        assert in_words(setting, value), setting
        json.dumps(value)
    assert in_words("notify_email", []) == in_words("stale_after_days", None) == "not set"
