"""Find the `date_format` that reads the dates of a file, and whether the cells prove it.  Pure.

The forms come from the cells themselves. If day and month can be swapped in every cell, the form is a guess, and its
rivals are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from importer.rules.cells import Invalid, check_date
from importer.rules.dates import form_in_words, forms_of
from importer.rules.dayforms import read_day

SAMPLE_DAYS = 300
MOST_FORMS = 40
MOSTLY = 0.9
"""The share of the days that a form must read to be proposed."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well `date_format` reads a column: `read` of `cells` different cells are days in it.

    `rivals` read as many cells, as other days or with day and month swapped. `certain`: there is no rival, and every
    cell is read.
    """

    date_format: str
    read: int
    cells: int
    rivals: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        return not self.rivals and self.read == self.cells


def fitting_formats(cells: Sequence[str], now_format: str) -> list[Fit]:
    """Return the forms that read any of the tidy `cells`, best first; of equals `now_format`, then the likelier."""
    different = list(islice(dict.fromkeys(cell for cell in cells if cell), SAMPLE_DAYS))
    counted = Counter(form for cell in different for form in forms_of(cell))
    forms = dict.fromkeys([now_format, *(form for form, _ in counted.most_common(MOST_FORMS))])
    days = {form: {cell: day for cell in different if (day := read_day(cell, form))} for form in forms}

    def rank(form: str) -> tuple[int, bool, int, bool]:
        return -len(days[form]), form != now_format, -counted[form], not _is_usual(form)

    fitting = sorted((form for form in forms if days[form]), key=rank)
    return [Fit(form, len(days[form]), len(different), _rivals(form, fitting, days)) for form in fitting]


def best_fit(cells: Sequence[str], now_format: str) -> Fit:
    """Return the form that reads most of `cells`: that of the settings, without rivals, if no other reads more."""
    fits = fitting_formats(cells, now_format)
    best = fits[0] if fits else Fit(now_format, 0, 0)
    if best.date_format == now_format or best.read < MOSTLY * best.cells:
        return Fit(now_format, best.read, best.cells)
    return best


def sentence_of(fit: Fit) -> str:
    """Return the sentence about the proposed form."""
    said = f"Dates are written as {fit.date_format} ({form_in_words(fit.date_format)})."
    if not fit.rivals:
        return said
    return f"{said} They may also be {fit.rivals[0]}: check a date that you know."


def says_otherwise(cells: Sequence[str], fit: Fit, past: str) -> bool:
    """Return whether one of these last days is past in one reading and not in another."""
    if not fit.rivals:
        return False
    for cell in cells:
        days = [check_date(cell, form) for form in (fit.date_format, *fit.rivals)]
        over = {day < past for day in days if isinstance(day, str)}
        if len(over) > 1 or any(isinstance(day, Invalid) for day in days):
            return True
    return False


def _rivals(form: str, fitting: Sequence[str], days: dict[str, dict[str, str]]) -> tuple[str, ...]:
    mine = days[form]
    return tuple(
        other
        for other in fitting
        if other != form and len(days[other]) >= len(mine) and (days[other] != mine or other == _turned(form))
    )


def _turned(form: str) -> str:
    """Return `form` with day and month swapped."""
    return form.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")


def _is_usual(form: str) -> bool:
    """Return whether this order of day and month is the usual one: with slashes, more files come from the USA."""
    at_day, at_month = form.find("%d"), form.find("%m")
    if at_month < 0 or form.startswith("%Y"):
        return True
    return (at_month < at_day) == ("/" in form)
