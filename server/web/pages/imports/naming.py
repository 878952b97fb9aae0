"""Write sentences about a file as the settings form names things: labels of settings, encodings and days. Pure.

The sentences of reports name settings and their values as the API does. On a page, each becomes its name in the form,
with a link to it. Text in “ ” is from a file and stays.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from importer.rules.dates import form_in_words
from importer.rules.dayforms import write_day
from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.settings.choices import ENCODINGS, EXAMPLE_DAY

NAMED = frozenset(name for name in SETTING_TEXTS if "_" in name)
"""The settings whose names differ from plain English words."""

_SETTING = "|".join(sorted(NAMED))
_ENCODING = "|".join(map(re.escape, ENCODINGS))
_TOKEN = re.compile(
    r"“[^”]*”"
    r"|(?P<form>%[A-Za-z](?:(?:[^\s(“”<&]|\s(?=%))*[A-Za-z])?)(?: \((?P<words>[^()]*)\))?"
    rf"|(?<![\w.-])(?:(?P<setting>{_SETTING})|(?P<encoding>{_ENCODING}))(?![\w-])"
)


def as_in_form(text: str, page: str) -> Markup:
    """Return `text` as HTML with the names that the settings form has; `page` is the address of the form."""

    def named(found: re.Match[str]) -> str:
        if found["setting"]:
            return _link(page, found["setting"], SETTING_TEXTS[found["setting"]].label)
        if found["encoding"]:
            return _link(page, "encoding", ENCODINGS[found["encoding"]])
        if found["form"]:
            return _link(page, "date_format", _day(found["form"])) + _rest(found)
        return found[0]

    return Markup(_TOKEN.sub(named, str(escape(text))))  # noqa: S704 - escaped before


def _day(form: str) -> str:
    return f"{write_day(EXAMPLE_DAY, form)} ({form_in_words(form)})"


def _rest(found: re.Match[str]) -> str:
    """Return what stands in brackets after the form, unless the name of the form has it."""
    words = found["words"]
    return "" if words is None or words == form_in_words(found["form"]) else f" ({words})"


def _link(page: str, setting: str, label: str) -> str:
    return f'<a href="{escape(page)}#{setting}">{escape(label)}</a>'
