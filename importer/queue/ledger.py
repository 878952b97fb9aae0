"""One connection to headcount.db, shared by all that is written there: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiosqlite

from importer.database import as_try_again, at_once, in_its_thread, transaction

T = TypeVar("T")

Inside = sqlite3.Connection
"""headcount.db as the steps of one transaction have it, in the thread of the database."""


class Ledger:
    """`db` is headcount.db, open. Everything raises TryAgain when the disk is full or the database busy."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self.db = db
        self._lock = asyncio.Lock()

    async def at_once(self, work: Callable[[Inside], T], *, on_disk: bool = True) -> T:
        """Do `work` as a write transaction in one step, which a busy event loop does not draw out
        (`importer.database.at_once`).
        """
        await self._outside()
        return await at_once(self.db, work, on_disk=on_disk)

    async def change(self, statement: str, *values: object) -> bool:
        """One statement as a transaction. Whether it changed anything."""
        return await self.at_once(lambda db: db.execute(statement, values).rowcount > 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A write transaction of several steps that nobody else of this process is in: for what may wait."""
        async with self._lock, transaction(self.db):
            yield

    async def rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, inside such a transaction of the caller's."""
        return list(await self.db.execute_fetchall(statement, values))

    async def read(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, outside of any transaction."""
        try:
            await self._outside()
            return await in_its_thread(self.db, lambda: self.db._conn.execute(statement, values).fetchall())
        except sqlite3.OperationalError as error:
            raise as_try_again(error) from error

    async def _outside(self) -> None:
        """Wait until no transaction of several steps is open. What is handed to the thread without a further wait is
        outside of any, and needs no lock against its like: the thread does one after the other.
        """
        if self._lock.locked():
            async with self._lock:
                pass
