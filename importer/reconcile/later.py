"""Rows that wait until all others are in: those of leavers, and those whose identifier another row has.

Of several rows of one identifier the first that is not a leaver's stands, wherever it is. So a leaver's row waits: if
a row that is not a leaver's came for the same identifier, before or after it, it is ignored; else the first leaver's
row stands. A row that falls is told in the end, with the row that stands beside it: for the text of those the file is
read once more, so that it need not be kept of every row.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import aiosqlite

from importer.file.reader import Batch, CsvReader
from importer.reconcile.newcomers import Newcomers
from importer.reconcile.plan import Fate, Judgement, judge
from importer.reconcile.roster import Roster
from importer.reconcile.rows import RowInHand
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings
from importer.said.oneperson import Read, duplicate, leaver_beside

PAGE = 2000


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


class Later:
    """The rows of one import that wait. What is added counts from `write` on."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self._leavers: list[tuple[int, str]] = []
        self._doubles: list[tuple[int, str, int]] = []
        self._displaced: list[tuple[int, int]] = []
        self._fallen: list[tuple[int, bool, int]] = []
        self._after = 0
        self._any = False
        self._any_falls = False

    async def open(self) -> None:
        # A row without `first` is a leaver's that waits; one without `raw` was known by its text.
        await self._db.execute(
            "CREATE TEMP TABLE later (line INTEGER PRIMARY KEY, raw TEXT, first INTEGER, beside INTEGER NOT NULL)"
        )
        await self._db.execute("CREATE INDEX temp.later_first ON later (first) WHERE first IS NOT NULL")
        await self._db.execute("CREATE INDEX temp.later_unread ON later (line) WHERE raw IS NULL")
        await self._db.execute("CREATE TEMP TABLE read_again (line INTEGER PRIMARY KEY, raw TEXT NOT NULL)")

    def add_leaver(self, line: int, raw: str) -> None:
        """Keep the row of a leaver."""
        self._leavers.append((line, raw))

    def add_double(self, line: int, raw: str, first: int) -> None:
        """Keep a row that falls because that on the line `first` stands."""
        self._doubles.append((line, raw, first))

    def displace(self, line: int, first: int) -> None:
        """Let the leaver's row on `line` fall beside that on the line `first`; it waits, or was known by its text."""
        self._displaced.append((line, first))

    def fall(self, line: int, first: int, *, beside: bool) -> None:
        """Let a waiting leaver's row fall."""
        self._fallen.append((first, beside, line))

    async def write(self) -> int:
        """Write what was added; return how many rows that were known by their text have fallen."""
        known = 0
        if self._leavers:
            await self._db.executemany("INSERT INTO later VALUES (?, ?, NULL, 0)", self._leavers)
        if self._doubles:
            await self._db.executemany("INSERT INTO later VALUES (?, ?, ?, 0)", self._doubles)
        if self._displaced:
            # A row that waits is there already, and falls with the others.
            done = await self._db.executemany("INSERT OR IGNORE INTO later VALUES (?, NULL, ?, 1)", self._displaced)
            known = done.rowcount
        if self._fallen:
            await self._db.executemany("UPDATE later SET first = ?, beside = ? WHERE line = ?", self._fallen)
        self._any |= bool(self._leavers)
        self._any_falls |= bool(self._doubles or self._displaced or self._fallen)
        for added in (self._leavers, self._doubles, self._displaced, self._fallen):
            added.clear()
        return known

    async def leavers(self) -> list[tuple[int, str]]:
        """Return the next leavers' rows that wait, in the order of the file: line and text."""
        if not self._any:
            return []
        rows = await self._db.execute_fetchall(
            "SELECT line, raw FROM later WHERE first IS NULL AND line > ? ORDER BY line LIMIT ?", (self._after, PAGE)
        )
        found = [(row[0], row[1]) for row in rows]
        self._after = found[-1][0] if found else self._after
        return found

    async def fallen(self, again: Callable[[], Iterator[Batch]]) -> AsyncIterator[list[Fallen]]:
        """Yield the rows that fell, in the order of the file. `again` reads the file once more."""
        after = 0
        if self._any_falls:
            await self._read(again())
        while self._any_falls:
            rows = list(
                await self._db.execute_fetchall(
                    "SELECT l.line, coalesce(l.raw, own.raw), l.first, r.raw, l.beside FROM later AS l"
                    " JOIN read_again AS r ON r.line = l.first LEFT JOIN read_again AS own ON own.line = l.line"
                    " WHERE l.first IS NOT NULL AND l.line > ? ORDER BY l.line LIMIT ?",
                    (after, PAGE),
                )
            )
            if not rows:
                return
            after = rows[-1][0]
            yield [Fallen(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]

    async def _read(self, batches: Iterator[Batch]) -> None:
        """Find the text of the rows that stand, and of those that were known by it."""
        ((last,),) = await self._db.execute_fetchall(
            "SELECT max(coalesce((SELECT max(first) FROM later), 0),"
            " coalesce((SELECT max(line) FROM later WHERE raw IS NULL), 0))"
        )
        while batch := await asyncio.to_thread(next, batches, None):
            ends = (batch.lines[0], batch.lines[-1])
            rows = await self._db.execute_fetchall(
                "SELECT first FROM later WHERE first BETWEEN ? AND ?"
                " UNION SELECT line FROM later WHERE raw IS NULL AND line BETWEEN ? AND ?",
                (*ends, *ends),
            )
            found = [(row[0], batch.raws[bisect_left(batch.lines, row[0])]) for row in rows]
            await self._db.executemany("INSERT INTO read_again VALUES (?, ?)", found)
            if ends[1] >= last:
                return


class LastRows:
    """Settles the rows that waited, once all others are in."""

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
        """`again` reads the file of `reader` from its beginning; `write` and `report` do so with judged rows."""
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
        """Settle the next leavers' rows; False when there was none, and then all that fell is told."""
        waiting = await self._later.leavers()
        if waiting:
            await self._settle([self._row(line, raw) for line, raw in waiting])
            return True
        async for fallen in self._later.fallen(self._again):
            await asyncio.to_thread(self._tell, fallen)
        return False

    def _row(self, line: int, raw: str) -> RowInHand:
        cells = self._reader.cells(line, raw)
        return RowInHand(line, cells, raw, self._checker.key(cells))

    async def _settle(self, rows: list[RowInHand]) -> None:
        keys = [row.key for row in rows if row.key is not None]
        known = await self._roster.find(keys)
        seen = await self._roster.strangers(keys)
        users = await self._roster.load(known.values())
        nobody: dict[str, int] = {}
        standing = []
        for row in rows:
            key = row.key or ""
            row.known = known.get(key, 0)
            mark = self._roster.named.mark_of(row.known) if row.known else seen.get(key, 0)
            if mark and mark != -row.line:
                self._later.fall(row.line, abs(mark), beside=mark > 0)
                continue
            if not row.known:
                seen[key] = nobody[key] = -row.line
            row.user = users.get(row.known) if row.known else None
            row.checked = self._checker.check(row.line, row.cells, row.raw)
            row.judgement = judge(row.checked, row.user, self._settings, self._past)
            standing.append(row)
        await self._write(Newcomers(), [row for row in standing if row.judgement.fate is Fate.WRITE])
        await self._roster.add_strangers(nobody)
        await self._later.write()
        await asyncio.to_thread(self._report, standing)

    def _tell(self, fallen: Sequence[Fallen]) -> None:
        self._report([self._fell(row) for row in fallen])

    def _fell(self, fallen: Fallen) -> RowInHand:
        row, first = self._row(fallen.line, fallen.raw), self._row(fallen.first, fallen.first_raw)
        for each in (row, first):
            each.checked = self._checker.check(each.line, each.cells, each.raw)
        ours, theirs = Read(row.cells, row.checked), Read(first.cells, first.checked)
        if fallen.beside:
            row.judgement = Judgement(Fate.IGNORE, problems=(leaver_beside(ours, theirs, self._settings),))
        else:
            problem = duplicate(ours, theirs, self._reader.header, self._settings)
            row.judgement = Judgement(Fate.REJECT, problems=(*row.checked.problems, problem))
        return row
