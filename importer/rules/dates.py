"""Describe forms of dates, and recognize the form of a date that is not in the expected one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from importer.rules.dayforms import read_day
from importer.rules.months import month_of

_PART_OF_DATE = {
    "Y": "year",
    "y": "year in two digits",
    "m": "month",
    "b": "month (Jan)",
    "B": "month (January)",
    "d": "day",
    "H": "hours",
    "I": "hours",
    "M": "minutes",
    "S": "seconds",
    "p": "AM or PM",
    "f": "fraction",
    "z": "zone",
    "%": "%",
}

_FIRST_DAY_OF_EXCEL = date(1899, 12, 30)
_DAY_NUMBER = re.compile(r"([1-7][0-9]{4})(?:[.,][0-9]+)?")
"""Excel's number of a day from 1927 to 2119, perhaps with the time as a fraction."""

_ZONE = r"(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_TIME = re.compile(
    r"(?P<gap>T| +|, )(?P<hours>[0-9]{1,2}):[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<rest>[.,][0-9]{1,9})?"
    rf"(?P<half> ?[AP]M)?(?P<apart> ?){_ZONE}?",
    re.IGNORECASE,
)
_DAY_IN_ZONE = re.compile(rf"(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_ZONE}", re.IGNORECASE)
_NUMBERS = re.compile(r"([0-9]{1,4})([-./]|\. )([0-9]{1,2})\2([0-9]{1,4})")
_ASIAN = re.compile(r"([0-9]{4})(年 ?)([0-9]{1,2})(月 ?)([0-9]{1,2})日")
_DIGITS = re.compile(r"[0-9]+")
_ORDINAL = re.compile(r"(?<=%d)(?:st|nd|rd|th|er|ère|re|[º°ª])(?![^\W\d_])")

_BETWEEN = {"de", "del", "of", "di"}
"""Words that may be between the parts of a day."""

_SHORT = {"janv", "fevr", "févr", "febr", "juil", "juill", "sept", "sett"}
"""Abbreviations of months with more than three letters."""

_Form = tuple[str, str]
"""A form: in words, and as date_format."""


def form_in_words(date_format: str) -> str:
    """Return `date_format` in words: `%d.%m.%Y` is “day.month.year”."""
    return re.sub("%(.)", lambda found: _PART_OF_DATE.get(found[1], found[0]), date_format)


@lru_cache(maxsize=1000)  # a proposal tries many forms on the same cells
def seen_in_date(text: str) -> str:
    """Return what `text`, in the wrong form, seems to be and which setting reads it; '' if unclear."""
    number = _DAY_NUMBER.fullmatch(text)
    if number:
        day = _FIRST_DAY_OF_EXCEL + timedelta(days=int(number[1]))
        return (
            f"This looks like Excel's number for the day {day.isoformat()}. "
            "In the spreadsheet, format the column as a date in that form, not as text. Then save it as CSV again."
        )
    forms = _forms(text)
    if not forms:
        return ""
    seen = f"This {'seems to' if len(forms) == 1 else 'may'} be {' or '.join(words for words, _ in forms)}."
    settings = " or ".join(setting for _, setting in forms)
    return f"{seen} If all your dates look like this, set date_format to {settings}."


@lru_cache(maxsize=1000)
def forms_of(text: str) -> tuple[str, ...]:
    """Return all usual forms in which `text` is a real day, as date_format."""
    zoned = _DAY_IN_ZONE.fullmatch(text)
    if zoned and _reads(text, "%Y-%m-%d%z"):
        return ("%Y-%m-%dZ", "%Y-%m-%d%z") if zoned["zone"] in "Zz" else ("%Y-%m-%d%z",)
    time = _TIME.search(text)
    if time and time.end() == len(text) and time.start():
        day = text[: time.start()]
        found = [f"{form}{suffix}" for form in _days(day) for suffix in _time_formats(time)]
    else:
        found = _days(text)
    return tuple(form for form in found if _reads(text, form))


def _forms(text: str) -> list[_Form]:
    """Return the forms in which `text` is a day. If two differ only in how they read a zone, the first counts."""
    forms = [form for form in forms_of(text) if not (form.endswith("%z") and form[:-2] + "Z" in forms_of(text))]
    return [(_in_words(form), form) for form in forms]


def _in_words(form: str) -> str:
    day, time = _without_time(form)
    words = form_in_words(day)
    if "%b" in day or "%B" in day:
        words = "a date with the name of the month"
    elif day == "%Y%m%d":
        words = "year, month and day without marks"
    return f"{words} with a {time}" if time else words


def _without_time(form: str) -> tuple[str, str]:
    """Return the day part of `form`, and `time`, `zone` or nothing for what follows it."""
    day, time, _ = re.split(r"(T|[ ,]+)(?=%[HI])", form, maxsplit=1) if re.search("%[HI]", form) else (form, "", "")
    if time:
        return day, "time"
    bare = re.sub("(?:Z|%z)$", "", form)
    return bare, "zone" if bare != form else ""


def _days(text: str) -> list[str]:
    """Return the forms that `text`, without a time, may have."""
    numbers = _NUMBERS.fullmatch(text)
    if numbers:
        return _in_numbers(*numbers.groups())
    if re.fullmatch("[0-9]{8}", text):
        return ["%Y%m%d"]
    asian = _ASIAN.fullmatch(text)
    if asian:
        return [f"%Y{asian[2]}%m{asian[4]}%d日"]
    return _with_a_name(text)


def _with_a_name(text: str) -> list[str]:
    """Return the form of a day with the name of its month: 5 de enero de 2024."""
    if len(text) > 40 or not _DIGITS.search(text):
        return []
    named = next((found for found in _words_in(text) if month_of(found[0])), None)
    if not named:
        return []
    name, start, end = named
    before, after = _DIGITS.findall(text[:start]), _DIGITS.findall(text[end:])
    numbers = [*before, *after]
    if len(numbers) != 2:
        return []
    letter = "b" if len(name) <= 3 or name.endswith(".") or name.lower() in _SHORT else "B"
    year_at = next((at for at, number in enumerate(numbers) if len(number) == 4), 1)
    kinds = ["%d", "%d"]
    kinds[year_at] = "%Y" if len(numbers[year_at]) == 4 else "%y"
    around = [_ORDINAL.sub("", _DIGITS.sub(lambda _: kinds.pop(0), part)) for part in (text[:start], text[end:])]
    # Other words may differ in the next cell, as the day of the week does.
    others = re.findall(r"[^\W\d_]+", "".join(around).replace("%d", "").replace("%Y", "").replace("%y", ""))
    if "%" in text or not set(others) <= _BETWEEN:
        return []
    return [f"%{letter}".join(around)]


def _words_in(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of `text` that may name a month, pairs first, each with its start and end."""
    words = list(re.finditer(r"[^\W\d_]+\.?", text))
    for one, two in pairwise(words):
        if text[one.end() : two.start()] == " ":
            yield text[one.start() : two.end()], one.start(), two.end()
    for word in words:
        yield word[0], word.start(), word.end()


def _in_numbers(first: str, mark: str, month: str, last: str) -> list[str]:
    """Return the forms of three numbers with `mark` between them. With dashes, year-month-day needs all digits."""
    if len(first) == 4 and len(last) <= 2:
        return [f"%Y{mark}%m{mark}%d"] if mark != "-" or len(month + last) == 4 else []
    if len(first) <= 2 and len(last) in (2, 4):
        year = "%Y" if len(last) == 4 else "%y"
        forms = [f"%d{mark}%m{mark}{year}", f"%m{mark}%d{mark}{year}"]
        # Two digits at the beginning are a year only if they cannot be a day.
        return [f"%y{mark}%m{mark}%d"] if len(first + last) == 4 and int(first) > 31 else forms
    return []


def _time_formats(time: re.Match[str]) -> list[str]:
    """Return the forms of a time. A zone Z is either the letter or a zone like others."""
    fraction = f"{time['rest'][0]}%f" if time["rest"] else ""
    seconds = ":%S" if time["seconds"] else ""
    half = time["half"] or ""
    hours = f"%I:%M{seconds}{fraction}{half[:-2]}%p" if half else f"%H:%M{seconds}{fraction}"
    zone = time["zone"] or ""
    if time["apart"] and not zone:
        return []
    gap = f"{time['gap']}{hours}{time['apart']}"
    return [f"{gap}Z", f"{gap}%z"] if zone in ("Z", "z") else [f"{gap}{'%z' if zone else ''}"]


def _reads(text: str, form: str) -> bool:
    return read_day(text, form) is not None
