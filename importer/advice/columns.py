"""Say in a sentence for each column of a file how some settings read it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from importer.advice.headers import seen
from importer.advice.model import ColumnAdvice, Part
from importer.file.header import REPORT_COLUMNS, Names, heading, match_columns, nearest_column
from importer.file.leavers import tells_beside
from importer.rules.settings import ImportSettings


def columns_of_file(
    header: Sequence[str], after: ImportSettings, parts: Iterable[Part], notes: Mapping[int, str]
) -> tuple[ColumnAdvice, ...]:
    """Return how the settings `after` read each column of `header`. The `parts` changed today's settings into these.

    `notes` are the sentences about columns that are not read, by their place.
    """
    names = after.names
    folded = [heading(cell) for cell in header]
    columns = match_columns(folded, names)
    by_header = {theirs.strip(): part for part in parts for theirs in part.headers}
    found = []
    for at, (cell, name) in enumerate(zip(header, folded, strict=True)):
        part = by_header.get(cell.strip())
        if columns[at]:
            note = f"Read as {columns[at]}, with the suggested settings." if part else f"Read as {columns[at]}."
            found.append(ColumnAdvice(seen(cell), columns[at], part is None or part.certain, note))
        else:
            certain, note = _unread(at, cell, name, header, columns, names, notes)
            found.append(ColumnAdvice(seen(cell), None, certain, note))
    return tuple(found)


def _unread(
    at: int,
    cell: str,
    name: str,
    header: Sequence[str],
    columns: Sequence[str],
    names: Names,
    notes: Mapping[int, str],
) -> tuple[bool, str]:
    """Return whether the column is certainly not a field, and the sentence about it."""
    if not name:
        return True, "Not used: it has no name."
    if name.startswith("_") or name in REPORT_COLUMNS or names.mapping.get(name) == "":
        return True, "Ignored on purpose."
    if meant := names.field(name):
        return True, f"Not used: {meant} is read from “{seen(header[columns.index(meant)])}”."
    if at in notes:
        return False, notes[at]
    if name == "skills":
        return True, "Not used: skills cannot be set by a file."
    if tells_beside(header)[at]:
        return False, "Not used. It may tell who has left."
    hint = nearest_column(name, names.columns)
    if hint in columns:
        return True, f"Not used: the file has a column for {hint} already."
    return (False, f"Not used. It may be meant as {hint}.") if hint else (True, "Not used.")
