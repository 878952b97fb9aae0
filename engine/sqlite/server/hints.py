"""The table `moves`, read through its own connection: SQLite tells a connection what *others* changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.hints import Move, RunMove
from engine.sqlite.database import open_database
from engine.sqlite.server.ledger import Ledger
from importer.model import ImportState

MOVES = """
    SELECT max(moves.id) AS number, imports.tenant, imports.id, imports.state, imports.progress
    FROM moves JOIN imports ON imports.tenant = moves.tenant AND imports.id = moves.import_id
    WHERE moves.id > ? GROUP BY moves.tenant, moves.import_id ORDER BY number"""

RUN_MOVES = """
    SELECT max(moves.id) AS number, runs.tenant, runs.id, runs.state
    FROM moves JOIN runs ON runs.tenant = moves.tenant AND runs.id = moves.run_id
    WHERE moves.id > ? GROUP BY moves.tenant, moves.run_id ORDER BY number"""


class SqliteHints:
    """`engine.hints.Hints` of the headcount.db in `file`, which is open only during a watch."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[SqliteWatch]:
        db = await open_database(self._file, "server", readonly=True)
        try:
            yield SqliteWatch(Ledger(db, self._file))
        finally:
            await db.close()


class SqliteWatch:
    """An `engine.hints.Watch`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._version: int | None = None

    async def changed(self) -> bool:
        before, self._version = self._version, await self._number("PRAGMA data_version")
        return before != self._version

    async def newest(self) -> int:
        return await self._number("SELECT coalesce(max(id), 0) FROM moves")

    async def moves(self, after: int) -> list[Move]:
        rows = await self._ledger.rows(MOVES, after)
        return [Move(row[0], row[1], row[2], ImportState(row[3]), row[4]) for row in rows]

    async def run_moves(self, after: int) -> list[RunMove]:
        rows = await self._ledger.rows(RUN_MOVES, after)
        return [RunMove(row[0], row[1], row[2], ImportState(row[3])) for row in rows]

    async def running(self) -> dict[tuple[str, int], float]:
        rows = await self._ledger.rows("SELECT tenant, id, progress FROM imports WHERE state = 'running'")
        return {(row[0], row[1]): row[2] or 0.0 for row in rows}

    async def _number(self, query: str) -> int:
        rows = await self._ledger.rows(query)
        return int(rows[0][0])
