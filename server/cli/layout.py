"""The layout of a table on a terminal: values that are copied are never cut or wrapped. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from rich.cells import cell_len, chop_cells

GAP = 2
NARROWEST = 14
"""The least cells of the terminal in which a text is wrapped."""

Paint = Callable[[str], str]


def table(
    rows: Sequence[Sequence[str]],
    headings: Sequence[str],
    width: int,
    *,
    wrapped: Collection[int] = (),
    paint: Paint = str,
    bold: Paint = str,
) -> Iterator[str]:
    """Yield the lines of a table of at most `width` cells of the terminal.

    Only texts in the columns `wrapped` are wrapped, between words. If the other values do not fit beside each other,
    each row is a block with one value on each line; a longer line is left to the terminal. `paint` colors a value,
    and `bold` a heading.
    """
    widths = _widths(rows, headings, width, wrapped)
    if widths is None:
        yield from _blocks(rows, headings, paint, bold)
        return
    yield _line(headings, widths, bold)
    for row in rows:
        parts = [_lines(cell, widths[column]) if column in wrapped else [cell] for column, cell in enumerate(row)]
        for number in range(max(map(len, parts))):
            yield _line([part[number] if number < len(part) else "" for part in parts], widths, paint)


def _widths(
    rows: Sequence[Sequence[str]], headings: Sequence[str], width: int, wrapped: Collection[int]
) -> list[int] | None:
    """Return the width of each column; None if they do not fit."""
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    least = [
        min(each, max(NARROWEST, cell_len(headings[column]))) if column in wrapped else each
        for column, each in enumerate(widths)
    ]
    room = width - sum(least) - GAP * (len(widths) - 1)
    if room < 0:
        return None
    for column, each in enumerate(widths):
        more = min(room, each - least[column])
        least[column] += more
        room -= more
    return least


def _line(cells: Sequence[str], widths: Sequence[int], paint: Paint) -> str:
    padded = (paint(cell) + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
    return (" " * GAP).join(padded).rstrip()


def _lines(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells, cut between words. Only a longer word is cut."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        pieces = chop_cells(word, width)
        lines[len(lines) - (not lines[-1]) :] = pieces
    return lines


def _blocks(rows: Sequence[Sequence[str]], headings: Sequence[str], paint: Paint, bold: Paint) -> Iterator[str]:
    width = max(map(cell_len, headings)) + GAP
    for number, row in enumerate(rows):
        if number:
            yield ""
        for heading, cell in zip(headings, row, strict=True):
            yield f"{bold(heading)}{' ' * (width - cell_len(heading))}{paint(cell)}"
