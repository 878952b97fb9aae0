"""A header as it is read, and what is said of its columns.  Pure.

A required column missing or a known column twice is a `FileError`. What was forgiven in a name is a warning; any
other name is ignored with a warning that helps to mend it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from importer.errors import FileError
from importer.file.header import (
    CORRECTION_MARK,
    MAX_COLUMNS,
    OURS,
    Header,
    Names,
    heading,
    match_columns,
    nearest_column,
)
from importer.file.leavers import Tells, tells_beside
from importer.file.letters import visible
from importer.model import Problem, Severity, shown

_TOLD = {
    Tells.LAST_DAY: "looks like the last day of users (leave_date)",
    Tells.LEFT: "looks like a list of who has left (deactivate)",
    Tells.ACTIVE: "looks like the opposite of deactivate: who is active (active)",
    Tells.STATUS: "looks like a status, which may tell who has left,",
}
"""What a column seems to be that tells who has left."""


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
