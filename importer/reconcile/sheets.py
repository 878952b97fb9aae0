"""Read the sheets of one file in order. Rows that are known by the previous file are not in them.

A known row is counted here: its user is unchanged. All other rows are in the sheets, and so is a known row whose user
had a row before. After a previous file, most other rows were changed in their place. So rows of existing users are
checked on their own (`Sheet.in_hand`), and the rest column by column.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from operator import attrgetter

from importer.file.blocks import Block
from importer.file.reader import Batch, CsvReader
from importer.model import Counts
from importer.reconcile.beside import Reading, refuse_person, unfinished_line
from importer.reconcile.roster import Roster
from importer.reconcile.rows import RowInHand
from importer.reconcile.sheet import Sheet, in_hand, take_apart
from importer.reconcile.unread import Unread
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings


class Sheets:
    """The rows of the file of `reader`, batch by batch; `reading`, if given, reads it instead.

    Known rows are added to `counts` as unchanged.
    """

    def __init__(
        self,
        reader: CsvReader,
        roster: Roster,
        checker: RowChecker,
        unread: Unread,
        settings: ImportSettings,
        counts: Counts,
        reading: Reading | None,
    ) -> None:
        self._reader = reader
        self._reading = reading
        self._roster = roster
        self._checker = checker
        self._unread = unread
        self._settings = settings
        self._counts = counts
        self._batches: Iterator[Batch] = reader.batches(partial(refuse_person, checker, settings))
        self._ahead: Batch | None = None
        self._blocks: list[Block] = []

    async def open(self) -> None:
        """Read the first rows. Raises FileError."""
        if not self._reading:
            self._ahead = await asyncio.to_thread(next, self._batches, None)

    async def next(self) -> Sheet | None:
        """Read the next sheet; None after the last. Raises FileError."""
        if self._reading:
            return await asyncio.to_thread(self._reading.next)
        if not self._ahead:
            return None
        any_known = bool(self._ahead.blocks)
        batch, unfinished = await asyncio.to_thread(self._read, self._ahead)
        rows = self._reader.table(batch.raws)
        if not any_known:
            return await asyncio.to_thread(take_apart, batch, rows, self._checker, self._unread, unfinished)
        # Most of the others were changed: their users exist, and each row is checked once, on its own.
        found = await asyncio.to_thread(in_hand, batch, rows, self._was, self._checker, self._unread, unfinished)
        met = await self._roster.meet([row.key for row in found if row.key is not None and not row.known])
        for row in found:
            row.known = row.known or met.get(row.key or "", 0)
        rest = [row for row in found if not row.known]
        batch = Batch([row.line for row in rest], [row.raw for row in rest])
        rows = [row.cells for row in rest]
        sheet = await asyncio.to_thread(take_apart, batch, rows, self._checker, self._unread, unfinished)
        sheet.in_hand, sheet.is_met = [row for row in found if row.known], True
        return sheet

    def end_after(self, rows: int) -> None:
        """Read no further if at least that many rows were read."""
        if self._ahead and self._reader.rows - len(self._ahead.raws) >= rows:
            self._ahead = None
            self._reader.close()

    def row(self, sheet: Sheet, at: int) -> RowInHand:
        """Return the row at the place `at`, to be checked on its own."""
        line, raw = sheet.lines[at], sheet.raws[at]
        row = RowInHand(line, self._reader.cells(line, raw), raw, sheet.keys[at], unfinished=line == sheet.unfinished)
        if self._unread.any:
            row.signs = self._unread.signs_in(row.cells)
        return row

    def known_raw(self, line: int) -> str:
        """Return the text of the known row on `line` in this batch."""
        block = self._blocks[bisect_right(self._blocks, line, key=attrgetter("line")) - 1]
        return block.raw(line).decode(self._reader.encoding)

    # The methods below run in a thread.

    def _read(self, batch: Batch) -> tuple[Batch, int]:
        """Count the known rows of `batch`; return the others, and the line of the unfinished one."""
        self._ahead = next(self._batches, None)
        unfinished = 0 if self._ahead else unfinished_line(self._reader, batch, self._settings)
        return self._take_known(batch), unfinished

    def _take_known(self, batch: Batch) -> Batch:
        """Record the known rows of `batch` for their users; return the others, and those whose user had a row."""
        self._blocks = batch.blocks
        named = []
        for block in batch.blocks:
            lines = self._roster.named.add_known(block.line, block.users)
            self._counts.unchanged += block.known - len(lines)
            named += [(line, self.known_raw(line)) for line in lines]
        if not named:
            return batch
        rows = sorted([*zip(batch.lines, batch.raws, strict=True), *named])
        return Batch([line for line, _ in rows], [raw for _, raw in rows])

    @property
    def _was(self) -> dict[int, tuple[int, list[str]]]:
        """For lines of this batch that were changed in place:

        The user that the previous line settled, and its cells.
        """
        was = {line: what for block in self._blocks for line, what in block.was.items()}
        raws = [raw.decode(self._reader.encoding).removesuffix("\r") for _, raw in was.values()]
        cells = self._reader.table(raws)
        return {line: (user, row) for (line, (user, _)), row in zip(was.items(), cells, strict=True)}
