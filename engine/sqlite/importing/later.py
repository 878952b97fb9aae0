"""The temporary tables of rows that wait until all others are written, and of the text of dropped rows."""

from __future__ import annotations

from collections.abc import Sequence

import aiosqlite

from importer.users.importing.later import DroppedRow

PAGE = 2000


class SqliteRowsForLater:
    """The waiting rows of one import, over a connection in its transaction."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def open(self) -> None:
        # A row without `first` is a leaver's that waits; one without `raw` was recognized without being parsed.
        await self._db.execute(
            "CREATE TEMP TABLE later (line INTEGER PRIMARY KEY, raw TEXT, first INTEGER, beside INTEGER NOT NULL)"
        )
        await self._db.execute("CREATE INDEX temp.later_first ON later (first) WHERE first IS NOT NULL")
        await self._db.execute("CREATE INDEX temp.later_unread ON later (line) WHERE raw IS NULL")
        await self._db.execute("CREATE TEMP TABLE read_again (line INTEGER PRIMARY KEY, raw TEXT NOT NULL)")

    async def add_leavers(self, rows: Sequence[tuple[int, str]]) -> None:
        await self._db.executemany("INSERT INTO later VALUES (?, ?, NULL, 0)", rows)

    async def add_duplicates(self, rows: Sequence[tuple[int, str, int]]) -> None:
        await self._db.executemany("INSERT INTO later VALUES (?, ?, ?, 0)", rows)

    async def add_displaced(self, rows: Sequence[tuple[int, int]]) -> int:
        done = await self._db.executemany("INSERT OR IGNORE INTO later VALUES (?, NULL, ?, 1)", rows)
        return done.rowcount

    async def drop_waiting(self, rows: Sequence[tuple[int, bool, int]]) -> None:
        await self._db.executemany("UPDATE later SET first = ?, beside = ? WHERE line = ?", rows)

    async def leavers(self, after: int) -> list[tuple[int, str]]:
        rows = await self._db.execute_fetchall(
            "SELECT line, raw FROM later WHERE first IS NULL AND line > ? ORDER BY line LIMIT ?", (after, PAGE)
        )
        return [(row[0], row[1]) for row in rows]

    async def last_without_text(self) -> int:
        ((last,),) = await self._db.execute_fetchall(
            "SELECT max(coalesce((SELECT max(first) FROM later), 0),"
            " coalesce((SELECT max(line) FROM later WHERE raw IS NULL), 0))"
        )
        return int(last)

    async def without_text(self, first: int, last: int) -> list[int]:
        rows = await self._db.execute_fetchall(
            "SELECT first FROM later WHERE first BETWEEN ? AND ?"
            " UNION SELECT line FROM later WHERE raw IS NULL AND line BETWEEN ? AND ?",
            (first, last, first, last),
        )
        return [row[0] for row in rows]

    async def tell(self, texts: Sequence[tuple[int, str]]) -> None:
        await self._db.executemany("INSERT INTO read_again VALUES (?, ?)", texts)

    async def dropped(self, after: int) -> list[DroppedRow]:
        rows = await self._db.execute_fetchall(
            "SELECT l.line, coalesce(l.raw, own.raw), l.first, r.raw, l.beside FROM later AS l"
            " JOIN read_again AS r ON r.line = l.first LEFT JOIN read_again AS own ON own.line = l.line"
            " WHERE l.first IS NOT NULL AND l.line > ? ORDER BY l.line LIMIT ?",
            (after, PAGE),
        )
        return [DroppedRow(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]
