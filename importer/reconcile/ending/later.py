"""Rows that wait until all others are in: leavers, and rows whose identifier another row has.

If several rows have one identifier, the first that is not a leaver counts, wherever it is. So a leaver's row waits.
If another row with the same identifier is not a leaver, the leaver's row is ignored; else the first leaver's row
counts. Rows that fall are reported at the end, with the row that counts. The file is read once more for the text of
these rows, so that no text is stored for all rows.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from importer.file.reader import Batch, CsvReader
from importer.messages.oneperson import Read, duplicate, leaver_beside
from importer.reconcile.newcomers import Newcomers
from importer.reconcile.plan import Fate, Judgement, judge
from importer.reconcile.roster import Roster
from importer.reconcile.rows import RowInHand
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings
from importer.users.importing.later import DroppedRow, RowsForLater


class Later:
    """The waiting rows of one import. Rows that were added are stored by `write`."""

    def __init__(self, stored: RowsForLater) -> None:
        self._stored = stored
        self._leavers: list[tuple[int, str]] = []
        self._doubles: list[tuple[int, str, int]] = []
        self._displaced: list[tuple[int, int]] = []
        self._fallen: list[tuple[int, bool, int]] = []
        self._after = 0
        self._any = False
        self._any_falls = False

    def add_leaver(self, line: int, raw: str) -> None:
        """Add the row of a leaver."""
        self._leavers.append((line, raw))

    def add_double(self, line: int, raw: str, first: int) -> None:
        """Add a row that falls because the row on the line `first` counts."""
        self._doubles.append((line, raw, first))

    def displace(self, line: int, first: int) -> None:
        """Let the leaver's row on `line` fall, because that on `first` counts. It waits, or was known by its text."""
        self._displaced.append((line, first))

    def fall(self, line: int, first: int, *, beside: bool) -> None:
        """Let a waiting leaver's row on `line` fall, because the row on `first` counts."""
        self._fallen.append((first, beside, line))

    async def write(self) -> int:
        """Store the added rows; return how many of those that fell were known by their text."""
        known = 0
        if self._leavers:
            await self._stored.add_leavers(self._leavers)
        if self._doubles:
            await self._stored.add_duplicates(self._doubles)
        if self._displaced:
            # A waiting row is stored already, and falls with the others.
            known = await self._stored.add_displaced(self._displaced)
        if self._fallen:
            await self._stored.drop_waiting(self._fallen)
        self._any |= bool(self._leavers)
        self._any_falls |= bool(self._doubles or self._displaced or self._fallen)
        for added in (self._leavers, self._doubles, self._displaced, self._fallen):
            added.clear()
        return known

    async def leavers(self) -> list[tuple[int, str]]:
        """Return the next leavers' rows that wait, in the order of the file: line and text."""
        if not self._any:
            return []
        found = await self._stored.leavers(self._after)
        self._after = found[-1][0] if found else self._after
        return found

    async def dropped(self, again: Callable[[], Iterator[Batch]]) -> AsyncIterator[list[DroppedRow]]:
        """Yield the rows that fell, in the order of the file. `again` reads the file once more."""
        after = 0
        if self._any_falls:
            await self._read(again())
        while self._any_falls:
            dropped = await self._stored.dropped(after)
            if not dropped:
                return
            after = dropped[-1].line
            yield dropped

    async def _read(self, batches: Iterator[Batch]) -> None:
        """Read the text of the rows that count, and of those that were known by it."""
        last = await self._stored.last_without_text()
        while batch := await asyncio.to_thread(next, batches, None):
            without_text = await self._stored.without_text(batch.lines[0], batch.lines[-1])
            await self._stored.tell([(line, batch.raws[bisect_left(batch.lines, line)]) for line in without_text])
            if batch.lines[-1] >= last:
                return


class LastRows:
    """Handles the waiting rows, after all others are in."""

    def __init__(
        self,
        later: Later,
        again: Callable[[], Iterator[Batch]],
        reader: CsvReader,
        roster: Roster,
        checker: RowChecker,
        settings: ImportSettings,
        past: str,
        write: Callable[[Newcomers, Sequence[RowInHand]], Awaitable[object]],
        report: Callable[[Sequence[RowInHand]], None],
    ) -> None:
        """`again` reads the file of `reader` from its beginning; `write` and `report` take judged rows."""
        self._later = later
        self._again = again
        self._reader = reader
        self._roster = roster
        self._checker = checker
        self._settings = settings
        self._past = past
        self._write = write
        self._report = report

    async def run(self) -> bool:
        """Handle the next leavers' rows; if there are none, report all rows that fell and return False."""
        waiting = await self._later.leavers()
        if waiting:
            await self._settle([self._row(line, raw) for line, raw in waiting])
            return True
        async for dropped in self._later.dropped(self._again):
            await asyncio.to_thread(self._tell, dropped)
        return False

    def _row(self, line: int, raw: str) -> RowInHand:
        cells = self._reader.cells(line, raw)
        return RowInHand(line, cells, raw, self._checker.key(cells))

    async def _settle(self, rows: list[RowInHand]) -> None:
        keys = [row.key for row in rows if row.key is not None]
        known = await self._roster.find(keys)
        seen = await self._roster.strangers(keys)
        users = await self._roster.load(known.values())
        strangers: dict[str, int] = {}
        counting = []
        for row in rows:
            key = row.key or ""
            row.known = known.get(key, 0)
            mark = self._roster.named.mark_of(row.known) if row.known else seen.get(key, 0)
            if mark and mark != -row.line:
                self._later.fall(row.line, abs(mark), beside=mark > 0)
                continue
            if not row.known:
                seen[key] = strangers[key] = -row.line
            row.user = users.get(row.known) if row.known else None
            row.checked = self._checker.check(row.line, row.cells, row.raw)
            row.judgement = judge(row.checked, row.user, self._settings, self._past, said_left=True)
            counting.append(row)
        await self._write(Newcomers(), [row for row in counting if row.judgement.fate is Fate.WRITE])
        await self._roster.add_strangers(strangers)
        await self._later.write()
        await asyncio.to_thread(self._report, counting)

    def _tell(self, dropped: Sequence[DroppedRow]) -> None:
        self._report([self._fell(row) for row in dropped])

    def _fell(self, dropped: DroppedRow) -> RowInHand:
        row, first = self._row(dropped.line, dropped.raw), self._row(dropped.first, dropped.first_raw)
        for each in (row, first):
            each.checked = self._checker.check(each.line, each.cells, each.raw)
        ours, theirs = Read(row.cells, row.checked), Read(first.cells, first.checked)
        if dropped.beside:
            row.judgement = Judgement(Fate.IGNORE, problems=(leaver_beside(ours, theirs, self._settings),))
        else:
            problem = duplicate(ours, theirs, self._reader.header, self._settings)
            row.judgement = Judgement(Fate.REJECT, problems=(*row.checked.problems, problem))
        return row
