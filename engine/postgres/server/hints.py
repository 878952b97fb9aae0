"""The table `moves`. Its numbers are not in the order of the commits; the function `newest_move` says which count."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.hints import Move, RunMove
from engine.postgres.database import Database
from importer.model import ImportState

NEWEST = "SELECT newest_move()"

MOVES = """
    SELECT number, (SELECT name FROM tenants WHERE id = newest.tenant_id), import_id, state, progress
    FROM (SELECT tenant_id, import_id, max(id) AS number FROM moves
        WHERE id > %s AND import_id IS NOT NULL GROUP BY tenant_id, import_id) AS newest
    CROSS JOIN LATERAL (SELECT state, progress FROM imports
        WHERE imports.tenant_id = newest.tenant_id AND imports.id = newest.import_id LIMIT 1) AS now
    ORDER BY number"""

RUN_MOVES = """
    SELECT number, (SELECT name FROM tenants WHERE id = newest.tenant_id), run_id, state
    FROM (SELECT tenant_id, run_id, max(id) AS number FROM moves
        WHERE id > %s AND run_id IS NOT NULL GROUP BY tenant_id, run_id) AS newest
    CROSS JOIN LATERAL (SELECT state FROM runs
        WHERE runs.tenant_id = newest.tenant_id AND runs.id = newest.run_id LIMIT 1) AS now
    ORDER BY number"""


class PostgresHints:
    """An `engine.hints.Hints`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[PostgresWatch]:
        yield PostgresWatch(self._database)


class PostgresWatch:
    """An `engine.hints.Watch`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: int | None = None

    async def changed(self) -> bool:
        before, self._seen = self._seen, await self.newest()
        return before != self._seen

    async def newest(self) -> int:
        ((number,),) = await self._database.read(NEWEST)
        return int(number)

    async def moves(self, after: int) -> list[Move]:
        rows = await self._database.read(MOVES, after)
        return [Move(row[0], row[1], row[2], ImportState(row[3]), row[4]) for row in rows]

    async def run_moves(self, after: int) -> list[RunMove]:
        rows = await self._database.read(RUN_MOVES, after)
        return [RunMove(row[0], row[1], row[2], ImportState(row[3])) for row in rows]

    async def running(self) -> dict[tuple[str, int], float]:
        rows = await self._database.read(
            "SELECT (SELECT name FROM tenants WHERE tenants.id = tenant_id), id, progress FROM imports"
            " WHERE state = 'running'"
        )
        return {(row[0], row[1]): row[2] or 0.0 for row in rows}
