"""The header of a file: which columns there are, what theirs are called, and what is forgiven in their names.  Pure.

A tenant may say what other headers mean: of several that name one field the first that is there counts, and a field's
own name comes last. Upper case, spaces around, non-breaking and zero-width characters are forgiven with a warning; a
required column missing or a known column twice is a `FileError`; any other name is ignored with a warning that helps
to mend it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from importer.errors import FileError
from importer.file.formulas import unescape_formula
from importer.file.leavers import Tells, tells_beside
from importer.file.letters import visible
from importer.file.synonyms import MEANT_BY
from importer.file.synonyms import plain as word_of
from importer.model import Problem, Severity, shown
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
_TOLD = {
    Tells.LAST_DAY: "looks like the last day of users (leave_date)",
    Tells.LEFT: "looks like a list of who has left (deactivate)",
    Tells.ACTIVE: "looks like the opposite of deactivate: who is active (active)",
    Tells.STATUS: "looks like a status, which may tell who has left,",
}
"""What a column seems to be that tells who has left."""

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
    columns = match_columns(names, known)
    faults = [*_twice(names, cells, line, known), *_missing(columns, cells, line, known)]
    if faults:
        raise faults[0].with_further(faults[1:])
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


def _twice(names: Sequence[str], cells: Sequence[str], line: int, known: Names) -> list[FileError]:
    """What is wrong with columns that mean something and stand twice."""
    first: dict[str, int] = {}
    found = []
    for position, name in enumerate(names):
        if not known.field(name):
            continue
        if name in first:
            found.append(
                FileError(
                    "duplicate_column",
                    f"The column {shown(name)} is in the header twice (columns {first[name] + 1} and "
                    f"{position + 1}). Remove or rename one of them.",
                    line=line,
                    column=shown(name),
                    value=shown(cells[position]),
                )
            )
        first.setdefault(name, position)
    return found


def _says_nothing(name: str, known: Names) -> bool:
    """Whether a column of this name is ignored without a word."""
    if name in known.mapping:
        return not known.mapping[name]
    return not name or name.startswith("_")


def _missing(columns: Sequence[str], cells: Sequence[str], line: int, known: Names) -> list[FileError]:
    missing = [name for name in known.required if name not in columns]
    if not missing:
        return []
    called = [_called(name, known) for name in missing]
    what = f"The column {called[0]} is" if len(called) == 1 else f"The columns {', '.join(called)} are"
    message = (
        f"{what} missing. The first line must name every column, and these are required: "
        f"{', '.join(known.required)}.{perhaps_meant(cells, missing, known)}"
    )
    return [FileError("missing_column", message, line=line, column=missing[0])]


def perhaps_meant(cells: Sequence[str], missing: Collection[str], known: Names) -> str:
    """Which of `cells` should perhaps be called as the columns that are `missing`, as a sentence; '' for none."""
    likely = [
        f"“{shown(cell.strip())}” should perhaps be {meant}"
        for cell in cells
        if (name := heading(cell)) and not known.field(name)
        if (meant := nearest_column(name, known.columns)) in missing
    ]
    return f" In the header {'; '.join(likely)}." if likely else ""


def _called(name: str, known: Names) -> str:
    """The field as a person may find it in the file: with the headers that mean it too."""
    theirs = [f"“{shown(visible(header))}”" for header, meant in known.mapping.items() if meant == name]
    return f"{name} (or {' or '.join(theirs)})" if theirs else name


def _warnings(header: Header, names: Sequence[str], line: int, known: Names) -> list[Problem]:
    problems = []
    unknown: set[str] = set()
    unnamed = [str(position + 1) for position, name in enumerate(names) if not name]
    told = tells_beside(header.raw)
    for name, cell, column, found in zip(names, header.raw, header.columns, told, strict=True):
        if _says_nothing(name, known):
            continue
        if not known.field(name):
            if name not in unknown:
                problems.append(
                    _tells_who_left(name, cell, line, found)
                    if found
                    else _unknown(name, cell, line, known, header.columns, names.count(name))
                )
            unknown.add(name)
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


def _unknown(name: str, cell: str, line: int, known: Names, taken: Sequence[str] = (), times: int = 1) -> Problem:
    """What to say of a column that means nothing. One of the `taken` is not what it should be called."""
    if name == "skills":
        message = "Skills can't be set by this file. The column skills is ignored; leave it out."
        return Problem(Severity.WARNING, "skills_column", message, line, name, shown(cell))
    written = shown(visible(cell))
    if times > 1:
        message = f"There is no column “{written}”; it stands there {times} times and is ignored."
    else:
        message = _ignored(name, written, known, taken)
    return Problem(Severity.WARNING, "unknown_column", message, line, shown(name), shown(cell))


def _tells_who_left(name: str, cell: str, line: int, found: Tells) -> Problem:
    message = f"The column “{shown(visible(cell))}” {_TOLD[found]} and is not read. The operator can change that."
    return Problem(Severity.WARNING, "unknown_column", message, line, shown(name), shown(cell))


def _ignored(name: str, written: str, known: Names, taken: Collection[str]) -> str:
    """What is said of an unknown column: the one that may be meant, and how to hear no more of it."""
    meant = nearest_column(name, known.columns)
    hint = f" Did you mean {meant}?" if meant else ""
    if meant in taken:
        hint = f" The file has a column for {meant} already."
    return (
        f"Column “{written}” is unknown and is ignored.{hint} If it is to be ignored, begin its name "
        "with _, or map it to nothing in the setting field_mapping."
    )
