"""The form in which a file writes its days: of those that read most of them, the likeliest.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from importer.rules.cells import Invalid, check_date

MOSTLY = 0.9
"""So many of the days must be read for a form to be proposed."""

SAMPLE_DAYS = 300

DAYS = (
    *("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DATE_FORMATS = tuple(f"{day}{time}" for time in TIMES for day in DAYS)
"""Of those that read a file equally well, the first is proposed."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of dates; `other` reads the same cells as other days, None if none does."""

    date_format: str
    other: str | None = None


def form_of(cells: Sequence[str], now: str) -> Form:
    """The form that reads most of `cells`: `now`, that of the settings, if no other reads more."""
    read = {each: _read(cells, each) for each in dict.fromkeys((now, *DATE_FORMATS))}
    best = max(read, key=lambda each: len(read[each]))
    if best == now or len(read[best]) < MOSTLY * len(cells):
        return Form(now)
    others = [
        each for each in read if each != best and len(read[each]) == len(read[best]) and read[each] != read[best]
    ]
    return Form(best, others[0] if others else None)


def says_otherwise(cells: Sequence[str], form: Form, past: str) -> bool:
    """Whether one of these last days is past in one reading of it and not in the other."""
    if form.other is None:
        return False
    for cell in cells:
        days = check_date(cell, form.date_format), check_date(cell, form.other)
        if (
            any(isinstance(day, Invalid) for day in days)
            or len({day < past for day in days if isinstance(day, str)}) > 1
        ):
            return True
    return False


def _read(cells: Sequence[str], date_format: str) -> dict[str, str]:
    days = {cell: check_date(cell, date_format) for cell in cells}
    return {cell: day for cell, day in days.items() if not isinstance(day, Invalid)}
