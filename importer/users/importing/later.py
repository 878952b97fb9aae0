"""Rows of one import that wait until all others are written, or that were dropped as duplicates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that is dropped because the row on the line `first` has the same identifier.

    `beside`: it is a leaver's row, and the other one is not.
    """

    line: int
    raw: str
    first: int
    first_raw: str
    beside: bool


class RowsForLater(Protocol):
    """These rows by line, inside the transaction of the import and until it ends. Each line is added once."""

    async def add_leavers(self, rows: Sequence[tuple[int, str]]) -> None:
        """Store waiting rows of leavers: line and text."""

    async def add_duplicates(self, rows: Sequence[tuple[int, str, int]]) -> None:
        """Store dropped rows: line, text, and the line of the row that counts."""

    async def add_displaced(self, rows: Sequence[tuple[int, int]]) -> int:
        """Drop leavers' rows beside another row: their line, and the line of that row.

        Rows that wait stay: `drop_waiting` drops these. Returns how many rows did not wait; their text is not
        stored yet.
        """

    async def drop_waiting(self, rows: Sequence[tuple[int, bool, int]]) -> None:
        """Drop waiting rows: the line of the row that counts, whether they are `beside` it, and their own line."""

    async def leavers(self, after: int) -> list[tuple[int, str]]:
        """Return the next waiting rows of leavers after this line, in the order of lines: line and text."""

    async def last_without_text(self) -> int:
        """Return the last line whose text `dropped` still needs; 0 for none."""

    async def without_text(self, first: int, last: int) -> list[int]:
        """Return the lines from `first` to `last` whose text `dropped` still needs, in ascending order."""

    async def tell(self, texts: Sequence[tuple[int, str]]) -> None:
        """Store the text of these lines."""

    async def dropped(self, after: int) -> list[DroppedRow]:
        """Return the next dropped rows after this line, in the order of lines.

        Call it when all their texts are stored.
        """
