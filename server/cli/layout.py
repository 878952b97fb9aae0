"""The layout of a table on a terminal: values that are copied are never cut or wrapped. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from rich.cells import cell_len

GAP = 2
NARROWEST = 14
"""The least cells of the terminal in which a text is wrapped."""

WHOLE = re.compile(r"(?:sudo -u \S+ )?\bheadcount .*?(?:[;.](?= )|$)|\S+")
"""A part of a text that stays on one line, because it may be copied: a word, or a command up to its end."""

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

    Only texts in the columns `wrapped` are wrapped, between words, and never in a command. If the values do not fit
    beside each other, each row is a block with one value on each line; a longer line is left to the terminal. `paint`
    colors a value, and `bold` a heading.
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
    least = list(widths)
    for column in wrapped:
        longest = max(cell_len(part) for row in rows for part in (headings[column], *_parts(row[column])))
        least[column] = min(widths[column], max(NARROWEST, longest))
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


def _parts(text: str) -> list[str]:
    """Return the parts of `text` between which it may be wrapped."""
    return WHOLE.findall(text)


def _lines(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells, which each of its parts fits into."""
    lines = [""]
    for part in _parts(text):
        joined = f"{lines[-1]} {part}" if lines[-1] else part
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _blocks(rows: Sequence[Sequence[str]], headings: Sequence[str], paint: Paint, bold: Paint) -> Iterator[str]:
    width = max(map(cell_len, headings)) + GAP
    for number, row in enumerate(rows):
        if number:
            yield ""
        for heading, cell in zip(headings, row, strict=True):
            yield f"{bold(heading)}{' ' * (width - cell_len(heading))}{paint(cell)}"
