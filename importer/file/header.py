"""The names of columns: which fields there are, what theirs are called, and which field a header means.  Pure.

A tenant may say what other headers mean: of several that name one field the first that is there counts, and a field's
own name comes last. Upper case, spaces around, non-breaking and zero-width characters are forgiven.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from importer.file.formulas import unescape_formula
from importer.file.synonyms import MEANT_BY
from importer.file.synonyms import plain as word_of
from importer.nearest import is_misspelt

COLUMNS = (
    "first_name",
    "last_name",
    "email",
    "job_title",
    "manager",
    "coach",
    "primary_team",
    "secondary_team",
    "role",
    "language",
    "location",
    "time_zone",
    "hire_date",
    "leave_date",
    "deactivate",
)
"""Every column that means something, in the order people usually write them."""

MAPPED_ONLY = ("active",)
"""Fields that a column has only where a mapping says so: a header of this name means too many things elsewhere."""

REQUIRED = ("first_name", "last_name", "email")
MAX_COLUMNS = 256
REPORT_COLUMNS = ("_line", "_code", "_message")
"""What errors.csv has before the columns of the file it is about."""
CORRECTION_MARK = "_code"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

OFTEN_MEANT = {
    "mail": "email",
    "surname": "last_name",
    "family_name": "last_name",
    "given_name": "first_name",
    "forename": "first_name",
    "title": "job_title",
    "position": "job_title",
    "supervisor": "manager",
    "department": "primary_team",
    "team": "primary_team",
    "teams": "secondary_team",
    "office": "location",
    "locale": "language",
    "start_date": "hire_date",
    "email_address": "email",
    "e_mail_address": "email",
    "work_email": "email",
    "first": "first_name",
    "last": "last_name",
    "hired": "hire_date",
    "hired_on": "hire_date",
    "date_of_hire": "hire_date",
}
"""Names other systems give to our columns. For messages only: a column is never renamed by guessing."""

NEVER_NEAR = frozenset({"deactivate", "leave_date"})
"""Columns that nothing is ever said to be near: who followed such a hint would take access from the wrong people."""

_OTHER_WORDS = {"fire", "fired", "wire", "rehire", "end", "old", "new", "previous", "former", "next", "alternate"}
"""Words that make another column of a name, however near it is."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_NO_BREAK = re.compile("[\u00a0\u2007\u202f]")
_SEPARATORS = re.compile(r"[\s.-]+")


@dataclass(frozen=True, slots=True)
class Names:
    """What the columns of a tenant's files may be called.

    `columns` are all fields, `required` those that must be there. `mapping` says what other headers mean, each as
    `fold` gives it; of those of one field the first comes first, and `""` is a column to ignore without a word.
    """

    columns: tuple[str, ...] = COLUMNS
    required: tuple[str, ...] = REQUIRED
    mapping: Mapping[str, str] = field(default_factory=dict)

    def field(self, name: str) -> str:
        """The field that the folded header `name` means; '' if none."""
        return self.mapping.get(name, name if name in self.columns else "")

    def header(self, field: str) -> str | None:
        """What to call the column of `field` in a file where it is alone; None if no header means it."""
        if self.field(field) == field:
            return field
        return next((name for name, meant in self.mapping.items() if meant == field), None)


OURS = Names()


@dataclass(frozen=True, slots=True)
class Header:
    """The header as it is understood.

    `columns` has our field for each position, '' where the column is ignored; `raw` is what was read there.
    `is_correction`: the file is an errors.csv sent back.
    """

    columns: tuple[str, ...]
    raw: tuple[str, ...]
    is_correction: bool
    delimiter: str = ","


def match_columns(names: Sequence[str], known: Names) -> tuple[str, ...]:
    """The field of each folded header, or ''; where several mean one field, the first in the mapping has it."""
    rank = {name: number for number, name in enumerate(known.mapping)}
    columns = [""] * len(names)
    for position in sorted(range(len(names)), key=lambda position: rank.get(names[position], len(rank))):
        meant = known.field(names[position])
        if meant not in columns:
            columns[position] = meant
    return tuple(columns)


def fold(name: str) -> str:
    """A column name as it is compared: in NFC, plain spaces, invisible characters removed, trimmed, lower case."""
    return _NO_BREAK.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", name))).strip().lower()


def heading(cell: str) -> str:
    """What a cell of the header names, as it is compared: a `'` that made it safe for a spreadsheet is dropped."""
    return fold(unescape_formula(fold(cell)))


def is_correction(cells: Sequence[str]) -> bool:
    """Whether these cells are the header of an errors.csv that is sent back."""
    return CORRECTION_MARK in map(heading, cells)


def makes_header(cells: Sequence[str], known: Names) -> bool:
    """Whether every column that must be there is named in `cells`."""
    columns = match_columns([heading(cell) for cell in cells], known)
    return all(name in columns for name in known.required)


def seems_header(cells: Sequence[str], known: Names) -> bool:
    """Whether every column that must be there is named in `cells`, perhaps in other words."""
    return {*known.required} <= _meant(cells, known)


def known_columns(cells: Sequence[str], known: Names = OURS) -> int:
    """How many of `cells` are names of columns."""
    return len({meant for cell in cells if (meant := known.field(heading(cell)))})


def likely_columns(cells: Sequence[str], known: Names = OURS) -> int:
    """How many columns are named in `cells`, perhaps in other words."""
    return len(_meant(cells, known))


def _meant(cells: Sequence[str], known: Names) -> set[str]:
    found = {known.field(heading(cell)) or nearest_column(heading(cell), known.columns) for cell in cells}
    return {name for name in found if name}


def nearest_column(name: str, columns: tuple[str, ...] = COLUMNS) -> str | None:
    """The column that is meant by `name`, which is none, if it is near enough; never one that says who leaves."""
    plain = _SEPARATORS.sub("_", fold(name)).strip("_")
    if plain in OFTEN_MEANT:
        return OFTEN_MEANT[plain]
    near = [column for column in columns if column not in NEVER_NEAR]
    if plain in near:
        return plain
    if (meant := MEANT_BY.get(word_of(name))) in near:
        return meant
    if not plain or _OTHER_WORDS & set(plain.split("_")) or any(letter.isdigit() for letter in plain):
        return None
    return next((column for column in near if is_misspelt(plain, column)), None)
