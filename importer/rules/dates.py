"""The forms of dates in words, and what a cell that is no date in the right form seems to hold.  Pure."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

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
    "%": "%",
}

_FIRST_DAY_OF_EXCEL = date(1899, 12, 30)
_DAY_NUMBER = re.compile(r"([1-7][0-9]{4})(?:[.,][0-9]+)?")
"""A number that is a day from 1927 to 2119 in Excel, perhaps with the part of the day after its point."""

_TIME = re.compile(
    r"(?P<gap>[T ])[0-9]{1,2}:[0-9]{2}(?P<seconds>:[0-9]{2})?(?P<rest>\.[0-9]+)?"
    r"(?P<half> [AP]M)?(?P<zone>Z|[+-][0-9:]{4,6})?",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"([0-9]{1,4})([-./])([0-9]{1,2})\2([0-9]{1,4})")
_WITH_NAME = (
    re.compile(r"[0-9]{1,2}\.?[ -](?:de )?[^\W\d_]{3,12}\.?,?[ -](?:de )?(?:[0-9]{4}|[0-9]{2})"),
    re.compile(r"[^\W\d_]{3,12}\.? [0-9]{1,2},? (?:[0-9]{4}|[0-9]{2})"),
)
_NAMED = (
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%B-%Y", "%d. %B %Y"),
    *("%d-%b-%y", "%d %b %y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
)
_MONTHS = (
    *("jan", "fev", "fév", "feb", "mar", "mär", "apr", "avr", "abr", "mai", "may", "maj", "mag", "mei", "jui", "jun"),
    *("giu", "lip", "jul", "lug", "aug", "aoû", "ago", "sie", "sep", "set", "wrz", "oct", "okt", "oto", "ott", "out"),
    *("nov", "lis", "dec", "dez", "déc", "dic", "gru", "gen", "ene", "sty", "lut", "kwi", "cze", "maa", "mrt"),
)
"""How the months begin in the languages that users may have."""

_Form = tuple[str, str]
"""A form in words, and as date_format; that is '' where it can't read the form."""


def form_in_words(date_format: str) -> str:
    """`date_format` for those who don't know the directives of strptime: `%d.%m.%Y` is “day.month.year”."""
    return re.sub("%(.)", lambda found: _PART_OF_DATE.get(found[1], found[0]), date_format)


@lru_cache(maxsize=1000)  # a proposal tries many forms on the same cells
def seen_in_date(text: str) -> str:
    """What `text`, which is in the wrong form, seems to be, and what would read it; '' where it is not plain."""
    number = _DAY_NUMBER.fullmatch(text)
    if number:
        day = _FIRST_DAY_OF_EXCEL + timedelta(days=int(number[1]))
        return (
            f"This looks like Excel's number for the day {day.isoformat()}. "
            "In the spreadsheet format the column as a date in that form (text would keep the number), and save it "
            "as CSV again."
        )
    forms = _forms(text)
    if not forms:
        return ""
    seen = f"This {'seems to' if len(forms) == 1 else 'may'} be {' or '.join(words for words, _ in forms)}."
    settings = [setting for _, setting in forms if setting]
    if not settings:
        return seen
    reads = "read them" if len(forms) == 1 else "say which"
    return f"{seen} If all your dates look so, the setting date_format can {reads}: {' or '.join(settings)}."


def _forms(text: str) -> list[_Form]:
    """The forms in which `text` is a day."""
    time = _TIME.search(text)
    if time and time.end() == len(text):
        suffix = _time_format(time)
        day = text[: time.start()]
        forms = _forms(day) or ([("year-month-day", "%Y-%m-%d")] if _reads(day, "%Y-%m-%d") else [])
        return [(f"{words} with a time", f"{form}{suffix}" if suffix and form else "") for words, form in forms]
    numbers = _NUMBERS.fullmatch(text)
    if numbers:
        return [(form_in_words(form), form) for form in _in_numbers(*numbers.groups()) if _reads(text, form)]
    if re.fullmatch("[0-9]{8}", text):
        return [("year, month and day without marks", "%Y%m%d")] if _reads(text, "%Y%m%d") else []
    if any(form.fullmatch(text) for form in _WITH_NAME):
        setting = next((form for form in _NAMED if _reads(text, form)), "")
        return [("a date with the name of the month", setting)] if setting or _names_a_month(text) else []
    return []


def _in_numbers(first: str, mark: str, month: str, last: str) -> list[str]:
    """The forms of three numbers with `mark` between them. With too few digits year-month-day is none of them."""
    if len(first) == 4 and len(last) <= 2:
        return [f"%Y{mark}%m{mark}%d"] if mark != "-" or len(month + last) == 4 else []
    if len(first) <= 2 and len(last) in (2, 4):
        year = "%Y" if len(last) == 4 else "%y"
        return [f"%d{mark}%m{mark}{year}", f"%m{mark}%d{mark}{year}"]
    return []


def _time_format(time: re.Match[str]) -> str:
    """The time of the day as strptime knows it; '' if date_format has none for it."""
    if time["rest"] or (time["zone"] and time["zone"] not in "Zz"):
        return ""
    seconds, zone = ":%S" if time["seconds"] else "", time["zone"] or ""
    return f"{time['gap']}%I:%M{seconds} %p{zone}" if time["half"] else f"{time['gap']}%H:%M{seconds}{zone}"


def _names_a_month(text: str) -> bool:
    return any(word.startswith(_MONTHS) for word in re.findall(r"[^\W\d_]{3,}", text.lower()))


def _reads(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - a day, no moment
    except ValueError:
        return False
    return text.isascii()
