"""Read the header, and report problems of its columns. Pure.

A missing required column or a known column twice raises `FileError`. A variant spelling of a known name is a warning.
An unknown column is ignored with a warning that says how to fix it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ground.words import listed
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

UNNAMED_SHOWN = 10
"""The most columns without a name that a message lists."""

_LOOKS_LIKE = {
    Tells.LAST_DAY: "looks like the last day of users (leave_date)",
    Tells.LEFT: "looks like a flag for users who have left (deactivate)",
    Tells.ACTIVE: "looks like a flag for active users, the opposite of deactivate (active)",
    Tells.STATUS: "looks like a status that may say which users have left",
}
"""Descriptions of unread columns that show which users have left."""


def read_header(
    cells: Sequence[str], line: int, delimiter: str = ",", known: Names = OURS
) -> tuple[Header, list[Problem]]:
    """Return the header in `cells` and its warnings. Raises FileError if the file cannot be read with it."""
    if len(cells) > MAX_COLUMNS:
        raise FileError(
            "too_many_columns",
            f"The header has {len(cells)} columns; at most {MAX_COLUMNS} are allowed. Remove some columns.",
            line=line,
        )
    names = [heading(cell) for cell in cells]
    columns = match_columns(names, known)
    faults = [*_duplicates(names, cells, line, known), *_missing(columns, cells, line, known)]
    if faults:
        raise faults[0].with_further(faults[1:])
    header = Header(columns, tuple(cells), CORRECTION_MARK in names, delimiter)
    return header, _warnings(header, names, line, known)


def _duplicates(names: Sequence[str], cells: Sequence[str], line: int, known: Names) -> list[FileError]:
    """Return a fault for each known column that is in the header again."""
    first: dict[str, int] = {}
    found = []
    for position, name in enumerate(names):
        if not known.field(name):
            continue
        if name in first:
            found.append(
                FileError(
                    "duplicate_column",
                    f"Column {shown(name)} is in the header twice (columns {first[name] + 1} and {position + 1}). "
                    "Remove or rename one.",
                    line=line,
                    column=shown(name),
                    value=shown(cells[position]),
                )
            )
        first.setdefault(name, position)
    return found


def _is_ignored(name: str, known: Names) -> bool:
    """Return whether a column of this name is ignored without a message."""
    if name in known.mapping:
        return not known.mapping[name]
    return not name or name.startswith("_")


def _missing(columns: Sequence[str], cells: Sequence[str], line: int, known: Names) -> list[FileError]:
    missing = [name for name in known.required if name not in columns]
    if not missing:
        return []
    called = [_called(name, known) for name in missing]
    what = f"Column {called[0]} is" if len(called) == 1 else f"Columns {listed(called)} are"
    required = f"Required: {', '.join(known.required)}."
    message = f"{what} missing from the header. {required}{perhaps_meant(cells, missing, known)}"
    return [FileError("missing_column", message, line=line, column=missing[0])]


def perhaps_meant(cells: Sequence[str], missing: Collection[str], known: Names) -> str:
    """Return questions, each with a blank before it, for `cells` that may be a column of `missing`; '' for none."""
    likely = [
        f" Is “{shown(cell.strip())}” meant as {meant}?"
        for cell in cells
        if (name := heading(cell)) and not known.field(name)
        if (meant := nearest_column(name, known.columns)) in missing
    ]
    return "".join(likely)


def _called(name: str, known: Names) -> str:
    """Return the field, with the headers that the settings map to it."""
    theirs = [f"“{shown(visible(header))}”" for header, meant in known.mapping.items() if meant == name]
    return f"{name} (or {' or '.join(theirs)})" if theirs else name


def _warnings(header: Header, names: Sequence[str], line: int, known: Names) -> list[Problem]:
    problems = []
    unknown: set[str] = set()
    unnamed = [str(position + 1) for position, name in enumerate(names) if not name]
    told = tells_beside(header.raw)
    for name, cell, column, found in zip(names, header.raw, header.columns, told, strict=True):
        if _is_ignored(name, known):
            continue
        if not known.field(name):
            if name not in unknown:
                problems.append(
                    _of_leavers(name, cell, line, found)
                    if found
                    else _unknown(name, cell, line, known, header.columns, names.count(name))
                )
            unknown.add(name)
        elif not column:
            problems.append(_not_used(header, known.field(name), cell, line))
        elif name != cell and name not in known.mapping:
            problems.append(
                Problem(
                    Severity.WARNING,
                    "header_spelling",
                    f"Column {name} is spelled “{shown(visible(cell))}” in the header. It was read. Write {name}.",
                    line,
                    name,
                    shown(cell),
                )
            )
    if unnamed:
        rest = len(unnamed) - UNNAMED_SHOWN
        more = [*unnamed[:UNNAMED_SHOWN], *([f"{rest} more"] if rest > 0 else [])]
        what, them = (f"Column {unnamed[0]} has", "was ignored. Name or remove it.")
        if len(unnamed) > 1:
            what, them = f"Columns {listed(more)} have", "were ignored. Name or remove them."
        message = f"{what} no name in the header and {them}"
        problems.append(Problem(Severity.WARNING, "unnamed_column", message, line))
    return problems


def _not_used(header: Header, meant: str, cell: str, line: int) -> Problem:
    taken = shown(visible(header.raw[header.columns.index(meant)]))
    message = (
        f"Column “{shown(visible(cell))}” was ignored: {meant} is read from “{taken}”, which comes first in "
        "field_mapping. Nothing to do."
    )
    return Problem(Severity.NOTICE, "column_not_used", message, line, shown(cell), shown(cell))


def _unknown(name: str, cell: str, line: int, known: Names, taken: Sequence[str] = (), times: int = 1) -> Problem:
    """Return the warning about an unknown column. It does not propose a field that another column has (`taken`)."""
    if name == "skills":
        message = "Column skills was ignored: this file cannot set skills. Remove the column."
        return Problem(Severity.WARNING, "skills_column", message, line, name, shown(cell))
    written = shown(visible(cell))
    if times > 1:
        message = f"Column “{written}” is unknown and was ignored. The header has it {times} times."
    else:
        message = _ignored(name, written, known, taken)
    return Problem(Severity.WARNING, "unknown_column", message, line, shown(name), shown(cell))


def _of_leavers(name: str, cell: str, line: int, found: Tells) -> Problem:
    message = (
        f"Column “{shown(visible(cell))}” {_LOOKS_LIKE[found]}, but no setting reads it. "
        "The operator can map it in field_mapping."
    )
    return Problem(Severity.WARNING, "unknown_column", message, line, shown(name), shown(cell))


def _ignored(name: str, written: str, known: Names, taken: Collection[str]) -> str:
    """Return the sentence about an unknown column: the field that may be meant, and how to stop the message."""
    meant = nearest_column(name, known.columns)
    hint = f" Did you mean {meant}?" if meant else ""
    if meant in taken:
        hint = f" The file already has a column for {meant}."
    return (
        f"Column “{written}” is unknown and was ignored.{hint} To stop this message, begin its name with _, or map "
        "it "
        "to nothing in field_mapping."
    )
