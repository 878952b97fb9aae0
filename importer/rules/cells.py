"""The rules of most columns: one trimmed cell -> its value, or what is wrong with it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from importer.file.letters import BLANKS
from importer.rules.dates import form_in_words, seen_in_date
from importer.rules.dayforms import read_day, write_day

MAX_TEXT = 255
"""The most characters of a text or a name."""

ROLES = ("learner", "curator", "reporter", "learning_designer", "hr", "admin")
LANGUAGES = ("en", "en-US", "de", "fr", "es-CO", "it", "nl", "pt-BR", "pl", "ja", "zh-CN", "zh-TW", "ar")
DEFAULT_ROLE = "learner"
DEFAULT_LANGUAGE = "en"

_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"0", "false", "no"})
_ROLE_BY_NAME = {role.lower(): role for role in ROLES}
_DIGIT = re.compile("[0-9]")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TEAM_PART = re.compile(r"(?:\\[\\,]|[^,])*")
_ESCAPED = re.compile(r"\\([\\,])")

LEAVE = "\0"
"""The meaning of a cell that leaves its field unchanged. No cell can have this value."""

FieldValue = str | bool | int | float | tuple[str, ...] | None
"""None: cleared. A tuple: the names of secondary teams, in order. Numbers: custom fields. True and False: custom
fields, `deactivate` and `active`."""

ISO_DATE = "%Y-%m-%d"
EXAMPLE_DAY = "2024-03-09"


@dataclass(frozen=True, slots=True)
class Invalid:
    """Why a cell has no valid value: a stable code, and a sentence that says what to do."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A value that is used although it is probably not intended; `code` and `message` make a warning.

    `if_rejected` is the message if another cell rejects the row, so the value is not used; "" for no message.

    `least`: one warning for the whole column, if at least so many of its cells need it; 0: one warning a row.
    """

    value: FieldValue
    code: str
    message: str
    if_rejected: str = ""
    least: int = 0


def name_key(name: str) -> str:
    """Return the name of a team or location as it is compared: NFC, case-folded."""
    return unicodedata.normalize("NFC", name.casefold())


def check_text(text: str) -> str | Invalid:
    if len(text) > MAX_TEXT:
        return Invalid(
            "too_long", f"The text has {len(text):,} characters; at most {MAX_TEXT} are allowed. Shorten it."
        )
    return text


def check_reference(text: str) -> str | Invalid:
    """Return the text of a manager or coach. It is resolved after all rows, and never rejects a row."""
    return text


def check_role(text: str) -> str | Invalid:
    return _ROLE_BY_NAME.get(text.lower()) or Invalid(
        "unknown_role", f"No such role. Write one of: {', '.join(ROLES)}."
    )


def check_date(text: str, date_format: str = ISO_DATE) -> str | Invalid:
    """Return the day in `text` as YYYY-MM-DD, without a time. `date_format` is as in `dayforms`."""
    iso = date_format == ISO_DATE
    if not iso:
        day = read_day(text, date_format)
        if day:
            return day
    elif _ISO_DATE.fullmatch(text):
        with suppress(ValueError):
            return date.fromisoformat(text).isoformat()
    example = date_in(EXAMPLE_DAY, date_format)
    if not iso:
        advice = f"Write a real date as {form_in_words(date_format)}, such as {example}."
    elif _ISO_DATE.fullmatch(text):
        advice = f"No such day exists. Write a real date, such as {example}."
    else:
        advice = f"Write the date as year-month-day with all digits, such as {example}."
    seen = seen_in_date(text)
    return Invalid("bad_date", f"{advice} {seen}" if seen else advice)


def date_in(iso: str, date_format: str) -> str:
    """Return the day `iso` (YYYY-MM-DD) in `date_format`, as `check_date` reads it."""
    return write_day(iso, date_format)


def check_deactivate(text: str) -> bool | Invalid:
    found = check_boolean(text)
    if isinstance(found, bool):
        return found
    if len(_DIGIT.findall(text)) >= 4:
        return Invalid(
            "bad_deactivate",
            "This looks like a date, but the column takes yes or no. If it holds last days, map it "
            "to leave_date in field_mapping.",
        )
    return Invalid(
        "bad_deactivate",
        "Write 1, true or yes to deactivate the user; write 0, false or no, or leave the cell blank, if not. "
        "The setting value_mapping can give other words a meaning.",
    )


def check_active(text: str) -> bool | Invalid:
    found = check_boolean(text)
    if isinstance(found, bool):
        return found
    return Invalid(
        "bad_active", "Write 1, true or yes if the user is active; write 0, false or no if the user has left."
    )


def check_boolean(text: str) -> bool | Invalid:
    lower = text.lower()
    if lower in _TRUE or lower in _FALSE:
        return lower in _TRUE
    return Invalid("bad_boolean", "Write 1, true or yes; or write 0, false or no.")


def check_teams(text: str) -> tuple[str, ...] | Invalid:
    """Return the names in `text` in their order, without blank and repeated ones; case does not matter."""
    names: dict[str, str] = {}
    for part in split_names(text):
        if len(part) > MAX_TEXT:
            message = f"A team name has {len(part):,} characters; at most {MAX_TEXT} are allowed. Shorten it."
            return Invalid("too_long", message)
        if part:
            names.setdefault(name_key(part), part)
    return tuple(names.values())


def split_names(text: str) -> list[str]:
    r"""Split a list at its commas into trimmed names. `\,` is a comma in a name and `\\` a backslash."""
    if "\\" not in text:
        return [part.strip(BLANKS) for part in text.split(",")]
    parts, at = [], 0
    while at <= len(text):
        part = _TEAM_PART.match(text, at)
        assert part is not None  # it matches the empty text
        parts.append(_ESCAPED.sub(r"\1", part[0].strip(BLANKS)))
        at = part.end() + 1
    return parts


def join_names(names: Sequence[str]) -> str:
    """Join `names` into one cell, which `split_names` splits again."""
    return ", ".join(name.replace("\\", "\\\\").replace(",", "\\,") for name in names)
