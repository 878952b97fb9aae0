"""Rows of one import that wait until all others are in, or have fallen.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fallen:
    """A row that does not count because the row on the line `first` has its identifier.

    `beside`: it is a leaver's, and the other one is not.
    """

    line: int
    raw: str
    first: int
    first_raw: str
    beside: bool


class RowsForLater(Protocol):
    """These rows by line, inside the transaction of the import and until it ends. Each line is added once."""

    async def add_leavers(self, rows: Sequence[tuple[int, str]]) -> None:
        """Keep rows of leavers, which wait: line and text."""

    async def add_doubles(self, rows: Sequence[tuple[int, str, int]]) -> None:
        """Keep rows that have fallen: line, text, and the line of the row that stands."""

    async def add_displaced(self, rows: Sequence[tuple[int, int]]) -> int:
        """Let leavers' rows fall beside another: line, and the line of that. Those that wait are left as they are.

        Returns how many did not: they have no text yet.
        """

    async def let_fall(self, rows: Sequence[tuple[int, bool, int]]) -> None:
        """Let rows fall that wait: the line of the row that stands, whether they fall beside it, their own line."""

    async def leavers(self, after: int) -> list[tuple[int, str]]:
        """The next leavers' rows that wait on a line after this one, in the order of lines: line and text."""

    async def last_untold(self) -> int:
        """The last line whose text is needed for `fallen`; 0 for none."""

    async def untold(self, first: int, last: int) -> list[int]:
        """The lines from `first` to `last` whose text is needed for `fallen`, upwards."""

    async def tell(self, texts: Sequence[tuple[int, str]]) -> None:
        """Keep the text of these lines."""

    async def fallen(self, after: int) -> list[Fallen]:
        """The next rows that fell, on a line after this one, in the order of lines: all texts are told."""
