"""One connection to headcount.db, shared by all that is written there: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiosqlite

from importer.database import as_try_again, at_once, finish, transaction

T = TypeVar("T")


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

    async def at_once(self, work: Callable[[sqlite3.Connection], T], *, on_disk: bool = True) -> T:
        """What `work` returns, run in such a transaction in one call of the thread (`importer.database.at_once`)."""
        async with self._lock:
            return await at_once(self.db, work, on_disk=on_disk)

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
