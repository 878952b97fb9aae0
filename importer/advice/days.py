"""The form in which a file writes its days: of those that read most of them, the likeliest.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from importer.advice.dates import fitting_formats
from importer.rules.cells import Invalid, check_date

MOSTLY = 0.9
"""So many of the days must be read for a form to be proposed."""

SAMPLE_DAYS = 300


@dataclass(frozen=True, slots=True)
class Form:
    """A form of dates; `other` reads the same cells as other days, None if none does."""

    date_format: str
    other: str | None = None


def form_of(cells: Sequence[str], now: str) -> Form:
    """The form that reads most of `cells`: `now`, that of the settings, if no other reads more."""
    fits = fitting_formats(cells, now)
    best = fits[0] if fits else None
    if best is None or best.date_format == now or best.read < MOSTLY * best.cells:
        return Form(now)
    return Form(best.date_format, best.rivals[0] if best.rivals else None)


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
