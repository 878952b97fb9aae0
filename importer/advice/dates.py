"""Which `date_format` reads the dates of a file, and whether the cells prove it.  Pure.

The forms are those of the cells themselves. Where a day and a month could as well be the other way round, nothing in
the file can tell which is meant: then the form is a guess, and its rivals are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from importer.rules.dates import form_in_words, forms_of
from importer.rules.dayforms import read_day

SAMPLE = 300
MOST_FORMS = 40


@dataclass(frozen=True, slots=True)
class Fit:
    """How well `date_format` reads a column: `read` of `cells` different cells are days in it.

    `rivals` read as many cells, as other days or with day and month the other way round. `certain`: there is none,
    and every cell is read.
    """

    date_format: str
    read: int
    cells: int
    rivals: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        return not self.rivals and self.read == self.cells


def fitting_formats(cells: Sequence[str], now_format: str) -> list[Fit]:
    """The forms that read any of the tidy `cells`, the best first; of equals `now_format`, then the likelier."""
    different = list(islice(dict.fromkeys(cell for cell in cells if cell), SAMPLE))
    counted = Counter(form for cell in different for form in forms_of(cell))
    forms = dict.fromkeys([now_format, *(form for form, _ in counted.most_common(MOST_FORMS))])
    days = {form: {cell: day for cell in different if (day := read_day(cell, form))} for form in forms}

    def rank(form: str) -> tuple[int, bool, int, bool]:
        return -len(days[form]), form != now_format, -counted[form], not _is_usual(form)

    fitting = sorted((form for form in forms if days[form]), key=rank)
    return [Fit(form, len(days[form]), len(different), _rivals(form, fitting, days)) for form in fitting]


def sentence_of(fit: Fit) -> str:
    """What is to be said of the form that is proposed."""
    said = f"Dates are written as {fit.date_format} ({form_in_words(fit.date_format)})."
    if not fit.rivals:
        return said
    return f"{said} This is a guess: they could as well be {fit.rivals[0]}. Look at a date whose day you know."


def _rivals(form: str, fitting: Sequence[str], days: dict[str, dict[str, str]]) -> tuple[str, ...]:
    mine = days[form]
    return tuple(
        other
        for other in fitting
        if other != form and len(days[other]) >= len(mine) and (days[other] != mine or other == _turned(form))
    )


def _turned(form: str) -> str:
    """`form` with day and month the other way round."""
    return form.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")


def _is_usual(form: str) -> bool:
    """Whether day and month mostly stand in this order: with slashes more files come from the USA."""
    at_day, at_month = form.find("%d"), form.find("%m")
    if at_month < 0 or form.startswith("%Y"):
        return True
    return (at_month < at_day) == ("/" in form)
