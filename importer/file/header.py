"""The fields, and which field each header means. Pure.

A tenant may map other headers to fields. If several headers map to one field, the first in the mapping that the file
has counts; the name of the field itself comes last. Case, surrounding spaces, non-breaking and zero-width characters
do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from importer.file.formulas import unescape_formula
from importer.file.synonyms import MEANT_BY
from importer.file.synonyms import plain as word_of
from importer.nearest import is_misspelled

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
"""Every standard field, in the order in which files usually have them."""

MAPPED_ONLY = ("active",)
"""Fields that need a mapping: a header of this name has other meanings in many files."""

REQUIRED = ("first_name", "last_name", "email")
MAX_COLUMNS = 256
REPORT_COLUMNS = ("_line", "_code", "_message")
"""The columns that errors.csv has before those of the file."""
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
"""Names of fields in other systems. For messages only: a column is never mapped by a guess."""

NEVER_NEAR = frozenset({"deactivate", "leave_date"})
"""Fields that no message proposes: following a wrong hint would deactivate the wrong users."""

_OTHER_WORDS = {"fire", "fired", "wire", "rehire", "end", "old", "new", "previous", "former", "next", "alternate"}
"""Words that change the meaning of a name, however similar it is to a field."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_NO_BREAK = re.compile("[\u00a0\u2007\u202f]")
_BETWEEN_WORDS = re.compile(r"[\s.-]+")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that the columns of a tenant's files may have.

    `columns` are all fields, and `required` those that a file must have. `mapping` maps other headers, as `fold`
    returns them, to fields, the preferred header of a field first; `""` ignores the column without a message.
    """

    columns: tuple[str, ...] = COLUMNS
    required: tuple[str, ...] = REQUIRED
    mapping: Mapping[str, str] = field(default_factory=dict)

    def field(self, name: str) -> str:
        """Return the field that the folded header `name` means; '' if none."""
        return self.mapping.get(name, name if name in self.columns else "")

    def header(self, field: str) -> str | None:
        """Return a header that means `field`, the field's own name if possible; None if there is none."""
        if self.field(field) == field:
            return field
        return next((name for name, meant in self.mapping.items() if meant == field), None)


OURS = Names()


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file.

    `columns` has the field of each position, '' for an ignored column; `raw` has the cells. `is_correction`: the file
    is a correction file (an errors.csv sent again).
    """

    columns: tuple[str, ...]
    raw: tuple[str, ...]
    is_correction: bool
    delimiter: str = ","


def match_columns(names: Sequence[str], known: Names) -> tuple[str, ...]:
    """Return the field of each folded header, or ''. If several mean one field, the first in the mapping gets it."""
    rank = {name: number for number, name in enumerate(known.mapping)}
    columns = [""] * len(names)
    for position in sorted(range(len(names)), key=lambda position: rank.get(names[position], len(rank))):
        meant = known.field(names[position])
        if meant not in columns:
            columns[position] = meant
    return tuple(columns)


def fold(name: str) -> str:
    """Return a header as it is compared: NFC, plain spaces, without invisible characters, trimmed, lower case."""
    return _NO_BREAK.sub(" ", _INVISIBLE.sub("", unicodedata.normalize("NFC", name))).strip().lower()


def heading(cell: str) -> str:
    """Return a cell of the header as it is compared, without the `'` that escapes a formula."""
    return fold(unescape_formula(fold(cell)))


def is_correction(cells: Sequence[str]) -> bool:
    """Return whether these cells are the header of a correction file."""
    return CORRECTION_MARK in map(heading, cells)


def makes_header(cells: Sequence[str], known: Names) -> bool:
    """Return whether `cells` name every required column."""
    columns = match_columns([heading(cell) for cell in cells], known)
    return all(name in columns for name in known.required)


def seems_header(cells: Sequence[str], known: Names) -> bool:
    """Return whether `cells` name every required column, perhaps by a synonym."""
    return {*known.required} <= _meant(cells, known)


def known_columns(cells: Sequence[str], known: Names = OURS) -> int:
    """Return how many columns `cells` name."""
    return len({meant for cell in cells if (meant := known.field(heading(cell)))})


def likely_columns(cells: Sequence[str], known: Names = OURS) -> int:
    """Return how many columns `cells` name, perhaps by synonyms."""
    return len(_meant(cells, known))


def _meant(cells: Sequence[str], known: Names) -> set[str]:
    found = {known.field(heading(cell)) or nearest_column(heading(cell), known.columns) for cell in cells}
    return {name for name in found if name}


def nearest_column(name: str, columns: tuple[str, ...] = COLUMNS) -> str | None:
    """Return the field that the unknown header `name` probably means, except those of NEVER_NEAR; None if none."""
    plain = _BETWEEN_WORDS.sub("_", fold(name)).strip("_")
    if plain in OFTEN_MEANT:
        return OFTEN_MEANT[plain]
    near = [column for column in columns if column not in NEVER_NEAR]
    if plain in near:
        return plain
    if (meant := MEANT_BY.get(word_of(name))) in near:
        return meant
    if not plain or _OTHER_WORDS & set(plain.split("_")) or any(letter.isdigit() for letter in plain):
        return None
    return next((column for column in near if is_misspelled(plain, column)), None)
