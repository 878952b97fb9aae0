"""One connection to headcount.db, shared by all that is written there: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite

from importer.database import as_try_again, finish, transaction


class Ledger:
    """`db` is headcount.db, open. Everything raises TryAgain when the disk is full or the database busy."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self.db = db
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A write transaction that nobody else of this process is in."""
        async with self._lock, transaction(self.db):
            yield

    async def change(self, statement: str, *values: object) -> bool:
        """One statement as a transaction. Whether it changed anything."""
        async with self.transaction():
            done = await self.db.execute(statement, values)
        return done.rowcount > 0

    async def rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, inside a transaction of the caller's."""
        return list(await self.db.execute_fetchall(statement, values))

    async def read(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, outside of any transaction."""
        try:
            async with self._lock:
                return await finish(self.rows(statement, *values))
        except sqlite3.OperationalError as error:
            raise as_try_again(error) from error
