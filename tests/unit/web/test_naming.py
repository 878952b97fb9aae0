"""Sentences about a file, on a page: with the names of the settings form."""

from __future__ import annotations

import html
import re

import pytest

from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.imports.naming import NAMED, as_in_form
from server.web.pages.settings.choices import DATES, ENCODINGS

FORM = "/tenants/acme/settings"


def text_of(sentence: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", as_in_form(sentence, FORM)))


def links(sentence: str) -> list[str]:
    return re.findall(rf'<a href="{FORM}#(\w+)">', as_in_form(sentence, FORM))


@pytest.mark.parametrize(
    ("sentence", "text", "setting"),
    [
        ("Add it to value_mapping.", "Add it to Values.", "value_mapping"),
        ("Map it to active (field_mapping).", "Map it to active (Column names).", "field_mapping"),
        (
            "The file is not in utf-8, or so.",
            "The file is not in UTF-8 (Unicode, most systems), or so.",
            "encoding",
        ),
        ("It looks like cp1252.", "It looks like Windows-1252 (Excel, Western Europe).", "encoding"),
        (
            "Dates are written as %d.%m.%Y (day.month.year).",
            "Dates are written as 31.12.2026 (day.month.year).",
            "date_format",
        ),
        (
            "They may also be %m/%d/%Y: check a date that you know.",
            "They may also be 12/31/2026 (month/day/year): check a date that you know.",
            "date_format",
        ),
    ],
)
def test_a_name_of_the_api_becomes_the_name_in_the_form(sentence: str, text: str, setting: str) -> None:
    assert (text_of(sentence), links(sentence)) == (text, [setting])


@pytest.mark.parametrize("form", DATES)
def test_every_date_format_of_the_form_is_named_as_in_the_form(form: str) -> None:
    assert text_of(f"Set date_format to {form}.") == f"Set Date format to {DATES[form]}."
    assert text_of(f"Set date_format to {form} (a guess).") == f"Set Date format to {DATES[form]} (a guess)."


def test_every_setting_and_encoding_of_the_form_is_named_as_in_the_form() -> None:
    for name in NAMED:
        assert text_of(f"Change {name}.") == f"Change {SETTING_TEXTS[name].label}."
    for name, label in ENCODINGS.items():
        assert text_of(f"It is {name}.") == f"It is {label}."


@pytest.mark.parametrize(
    "sentence",
    [
        "“value_mapping” and “%d.%m.%Y” are values, and so is “it is cp1252”.",
        "10 % of the users, 100% of all, utf-16-le and x_value_mapping_x.",
        "<b>Team</b> & “<i>”",
        "",
    ],
)
def test_other_text_stays_as_it_is(sentence: str) -> None:
    assert as_in_form(sentence, FORM) == html.escape(sentence)
