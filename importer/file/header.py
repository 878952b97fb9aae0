"""The header of a file: which columns there are, what theirs are called, and what is forgiven in their names.  Pure.

A tenant may say what other headers mean: of several that name one field the first that is there counts, and a field's
own name comes last. Upper case, spaces around, non-breaking and zero-width characters are forgiven with a warning; a
required column missing or a column twice is a `FileError`; any other name is ignored with a warning that helps to
mend it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from importer.errors import FileError
from importer.file.formulas import unescape_formula
from importer.file.letters import visible
from importer.model import Problem, Severity, shown
from importer.nearest import Nearest

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
    "deactivate",
)
"""Every column that means something, in the order people usually write them."""

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
}
"""Names other systems give to our columns. For messages only: a column is never renamed by guessing."""

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


def read_header(
    cells: Sequence[str], line: int, delimiter: str = ",", known: Names = OURS
) -> tuple[Header, list[Problem]]:
    """The header in `cells`, and the warnings it deserves. Raises FileError if the file can't be read with it."""
    if len(cells) > MAX_COLUMNS:
        raise FileError(
            "too_many_columns",
            f"The header has {len(cells)} columns; at most {MAX_COLUMNS} are possible. Remove those not needed.",
            line=line,
        )
    names = [heading(cell) for cell in cells]
    _refuse_twice(names, cells, line, known)
    columns = match_columns(names, known)
    _refuse_missing(columns, names, cells, line, known)
    header = Header(columns, tuple(cells), CORRECTION_MARK in names, delimiter)
    return header, _warnings(header, names, line, known)


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


def known_columns(cells: Sequence[str], known: Names = OURS) -> int:
    """How many of `cells` are names of columns."""
    return len({meant for cell in cells if (meant := known.field(heading(cell)))})


def nearest_column(name: str, columns: tuple[str, ...] = COLUMNS) -> str | None:
    """The column somebody may have meant by `name`, which is none."""
    plain = _SEPARATORS.sub("_", fold(name)).strip("_")
    return OFTEN_MEANT.get(plain) or (plain if plain in columns else _nearest(columns).to(plain, at_least=0.5))


@lru_cache(maxsize=64)
def _nearest(columns: tuple[str, ...]) -> Nearest:
    return Nearest(columns)


def _refuse_twice(names: Sequence[str], cells: Sequence[str], line: int, known: Names) -> None:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if _says_nothing(name, known):
            continue
        if name in first:
            raise FileError(
                "duplicate_column",
                f"The column {shown(name)} is in the header twice (columns {first[name] + 1} and {position + 1}). "
                "Remove or rename one of them.",
                line=line,
                column=shown(name),
                value=shown(cells[position]),
            )
        first[name] = position


def _says_nothing(name: str, known: Names) -> bool:
    """Whether a column of this name is ignored without a word."""
    if name in known.mapping:
        return not known.mapping[name]
    return not name or name.startswith("_")


def _refuse_missing(
    columns: Sequence[str], names: Sequence[str], cells: Sequence[str], line: int, known: Names
) -> None:
    missing = [name for name in known.required if name not in columns]
    if not missing:
        return
    likely = [
        f"“{shown(cell.strip())}” should perhaps be {meant}"
        for name, cell in zip(names, cells, strict=True)
        if name and not known.field(name) and (meant := nearest_column(name, known.columns)) in missing
    ]
    called = [_called(name, known) for name in missing]
    what = f"The column {called[0]} is" if len(called) == 1 else f"The columns {', '.join(called)} are"
    hint = f" In the header {'; '.join(likely)}." if likely else ""
    raise FileError(
        "missing_column",
        f"{what} missing. The first line must name every column, and these are required: "
        f"{', '.join(known.required)}.{hint}",
        line=line,
        column=missing[0],
    )


def _called(name: str, known: Names) -> str:
    """The field as a person may find it in the file: with the headers that mean it too."""
    theirs = [f"“{shown(visible(header))}”" for header, meant in known.mapping.items() if meant == name]
    return f"{name} (or {' or '.join(theirs)})" if theirs else name


def _warnings(header: Header, names: Sequence[str], line: int, known: Names) -> list[Problem]:
    problems = []
    unnamed = [str(position + 1) for position, name in enumerate(names) if not name]
    for name, cell, column in zip(names, header.raw, header.columns, strict=True):
        if _says_nothing(name, known):
            continue
        if not known.field(name):
            problems.append(_unknown(name, cell, line, known))
        elif not column:
            problems.append(_passed_over(header, known.field(name), cell, line))
        elif name != cell and name not in known.mapping:
            problems.append(
                Problem(
                    Severity.WARNING,
                    "header_spelling",
                    f"The column {name} is written “{shown(visible(cell))}” in the header. It was understood; "
                    f"write it {name}.",
                    line,
                    name,
                    shown(cell),
                )
            )
    if unnamed:
        message = f"The header has no name for column {', '.join(unnamed[:10])}, which is ignored. Name or remove it."
        problems.append(Problem(Severity.WARNING, "unnamed_column", message, line))
    return problems


def _passed_over(header: Header, meant: str, cell: str, line: int) -> Problem:
    taken = shown(visible(header.raw[header.columns.index(meant)]))
    message = f"The column “{shown(visible(cell))}” is ignored: {meant} is taken from “{taken}”, which comes first."
    return Problem(Severity.NOTICE, "column_not_used", message, line, shown(cell), shown(cell))


def _unknown(name: str, cell: str, line: int, known: Names) -> Problem:
    if name == "skills":
        message = "Skills can't be set by this file. The column skills is ignored; leave it out."
        return Problem(Severity.WARNING, "skills_column", message, line, name, shown(cell))
    meant = nearest_column(name, known.columns)
    hint = f" Did you mean {meant}?" if meant else ""
    message = (
        f"Column “{shown(visible(cell))}” is unknown and is ignored.{hint} If it is to be ignored, begin its name "
        "with _, or map it to nothing in the setting field_mapping."
    )
    return Problem(Severity.WARNING, "unknown_column", message, line, shown(name), shown(cell))
