"""Read and write a day in a form of strptime, without a locale. Pure.

`%b` and `%B` know the months in all languages that users may have. If the form names a time, a fraction of a second
or a zone, the text must have it, but it does not change the day. Only a fraction may be missing, as systems omit one
of 0.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from importer.rules.months import ENGLISH, month_of

_WORD = r"[^\W\d_]+"
_NUMBERS = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "1[0-2]|0[1-9]|[1-9]",
    "d": "3[01]|[12][0-9]|0[1-9]|[1-9]",
    "H": "2[0-3]|[01][0-9]|[0-9]",
    "I": "1[0-2]|0[1-9]|[1-9]",
    "M": "[0-5][0-9]|[0-9]",
    "S": "6[01]|[0-5][0-9]|[0-9]",
}
_OTHERS = {
    "b": rf"{_WORD}(?: {_WORD})?\.?",
    "B": rf"{_WORD}(?: {_WORD})?\.?",
    "f": "[0-9]{1,9}",
    "p": r"[AP]\.?\s?M\.?",
    "z": "Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?",
}
_ORDINAL = "(?:st|nd|rd|th|er|ère|re|[º°ª])?"
"""The suffix of a day beside the name of a month: 1er janvier, 5th March."""

_PARTS = re.compile(r"(?P<fraction>[.,])%f|%(?P<name>.)|(?P<blank>\s+)|(?P<other>.)", re.DOTALL)
_WRITTEN = {"H": "00", "I": "12", "M": "00", "S": "00", "f": "000", "p": "AM", "z": "+00:00", "%": "%"}


@lru_cache(maxsize=256)
def _pattern(date_format: str) -> re.Pattern[str]:
    """Return the pattern of texts in `date_format`. Raises ValueError if that is not a form of a date."""
    parts = list(_PARTS.finditer(date_format))
    numbers = [part["name"] in _NUMBERS for part in parts]
    ordinal = _ORDINAL if any(part["name"] in ("b", "B") for part in parts) else ""
    pattern = ""
    for at, part in enumerate(parts):
        name = part["name"]
        if part["fraction"]:
            pattern += "(?:[.,](?P<f>[0-9]{1,9}))?"
        elif part["blank"]:
            pattern += r"\s+"
        elif name in _NUMBERS:
            # Adjacent numbers must have all their digits, or their ends are ambiguous.
            touches = any(numbers[near] for near in (at - 1, at + 1) if 0 <= near < len(numbers))
            full = _NUMBERS[name].removesuffix("|[0-9]").removesuffix("|[1-9]") if touches else _NUMBERS[name]
            pattern += f"(?P<{name}>{full}){ordinal if name == 'd' and not touches else ''}"
        elif name in _OTHERS:
            pattern += f"(?P<{name}>{_OTHERS[name]})"
        elif name is not None and name != "%":
            raise ValueError(f"%{name} is not part of a date")
        elif part["other"] == "%":
            raise ValueError("a % has no letter after it")
        else:
            pattern += re.escape(part["other"] or "%")
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error:
        raise ValueError("a part is named twice") from None


def read_day(text: str, date_format: str) -> str | None:
    """Return the day in `text` as YYYY-MM-DD; None if `text` is not a real day in the form `date_format`."""
    found = _pattern(date_format).fullmatch(text)
    if not found:
        return None
    parts = found.groupdict()
    year = int(parts.get("Y") or parts["y"])
    if "Y" not in parts:
        year += 2000 if year < 69 else 1900
    name = parts.get("b") or parts.get("B")
    month = month_of(name) if name else int(parts["m"])
    if month is None:
        return None
    try:
        return date(year, month, int(parts["d"])).isoformat()
    except ValueError:
        return None


def write_day(iso: str, date_format: str) -> str:
    """Return the day `iso` (YYYY-MM-DD) in the form `date_format`, with English months. `read_day` reverses this."""
    year, month, day = iso.split("-")
    english = ENGLISH[int(month) - 1]
    parts = {**_WRITTEN, "Y": year, "y": year[2:], "m": month, "d": day, "b": english[:3], "B": english}
    return re.sub("%(.)", lambda found: parts.get(found[1], found[0]), date_format)
