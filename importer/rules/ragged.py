"""Why a row has another number of cells than the header. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ground.words import counted
from importer.file.header import DELIMITERS, Header
from importer.file.misread import is_line_in_quotes
from importer.rules.meanings import tidy


def why_ragged(cells: Sequence[str], raw: str, header: Header, *, fits: bool) -> str:
    """Return what is wrong with the row `raw` of these `cells`, and what to do.

    `fits`: its cells fit the first columns.
    """
    came, expected = len(cells), len(header.columns)
    has, ours = f"The row has {counted(came, 'cell', 'cells')}, the header {expected}", DELIMITERS[header.delimiter]
    if is_line_in_quotes(cells, raw):
        return f"{has}: the whole line is in quotes. Remove the quotes around the line."
    if other := _other_delimiter(raw, header):
        return (
            f"{has}: {DELIMITERS[other]} separate the cells of this row, and {ours} those of the header. "
            f"Save all rows with {ours}."
        )
    if came < expected and fits:
        return (
            f"{has}: {counted(expected - came, 'cell is', 'cells are')} missing at the end. "
            "Export every cell, blank ones too, or add the delimiters at the end of the row. "
            "If the row continues on the next line, remove the line end between the two."
        )
    if came > expected and fits and not any(map(tidy, cells[expected:])):
        return (
            f"{has}: {counted(came - expected, 'blank cell', 'blank cells')} too many at the end. "
            f"Remove the extra {'delimiter' if came - expected == 1 else 'delimiters'} at the end of the row."
        )
    return f"{has}. Look for an extra or missing delimiter; put a cell that contains one, or a line end, in quotes."


def _other_delimiter(raw: str, header: Header) -> str | None:
    """Return the delimiter by which a ragged row has as many cells as the header; None if there is none."""
    if '"' in raw:
        return None
    expected, others = len(header.columns), [each for each in DELIMITERS if each != header.delimiter]
    return next((each for each in others if raw.count(each) + 1 == expected > 2), None)
