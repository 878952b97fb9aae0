"""The delimiters, encodings and date formats that the form offers, with names that a person knows. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from importer.rules.dates import form_in_words
from importer.rules.dayforms import write_day

OTHER = "other"
"""The choice to type a value that is not in the list. No encoding and no date format has this name."""

EXAMPLE_DAY = "2026-12-31"
"""A day whose day cannot be a month, so that an example shows the order."""

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""The names of delimiters in the form, which cannot show a tab."""

DELIMITER_OPTIONS = {"comma": "Comma (,)", "semicolon": "Semicolon (;)", "tab": "Tab", "pipe": "Pipe (|)"}

ENCODINGS = {
    "utf-8": "UTF-8 (Unicode, most systems)",
    "cp1252": "Windows-1252 (Excel, Western Europe)",
    "cp1250": "Windows-1250 (Excel, Central Europe)",
    "cp1251": "Windows-1251 (Excel, Cyrillic)",
    "cp1253": "Windows-1253 (Excel, Greek)",
    "cp1254": "Windows-1254 (Excel, Turkish)",
    "cp1257": "Windows-1257 (Excel, Baltic)",
    "mac_roman": "Mac OS Roman (Excel for Mac)",
    "latin-1": "ISO 8859-1 (Western Europe)",
    "iso8859-15": "ISO 8859-15 (Western Europe, with €)",
    "utf-16": "UTF-16 (Unicode Text of Excel)",
    "cp932": "Shift JIS (Japanese)",
    "gb18030": "GB 18030 (Chinese)",
}

DATES = {
    form: f"{write_day(EXAMPLE_DAY, form)} ({form_in_words(form)})"
    for form in (
        *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y", "%d/%m/%y"),
        *("%m/%d/%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M"),
    )
}


def option_of(value: str, options: Mapping[str, str]) -> str:
    """Return the option for `value`, also if that is another name of its encoding; OTHER if there is none."""
    if value in options:
        return value
    return next((option for option in options if _codec(option) == _codec(value) is not None), OTHER)


def _codec(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
