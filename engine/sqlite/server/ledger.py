"""One connection to headcount.db, shared by all that is written there: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import aiosqlite

from engine.sqlite.database import as_told, at_once, in_its_thread, transaction

T = TypeVar("T")

Inside = sqlite3.Connection
"""headcount.db as the steps of one transaction have it, in the thread of the database."""


class Ledger:
    """`db` is headcount.db in `file`, open.

    Everything raises TryAgain when the disk is full or the database busy, and DatabaseUnusable when it is damaged. A
    fault of ours (a statement that makes no sense, a value that breaks a rule of the table) is a DatabaseFault.
    """

    def __init__(self, db: aiosqlite.Connection, file: Path) -> None:
        self.db = db
        self.file = file
        self._lock = asyncio.Lock()

    async def at_once(self, work: Callable[[Inside], T], *, on_disk: bool = True) -> T:
        """Do `work` as a write transaction in one step, which a busy event loop does not draw out
        (`engine.sqlite.database.at_once`).
        """
        with self._told():
            await self._outside()
            return await at_once(self.db, work, on_disk=on_disk)

    async def change(self, statement: str, *values: object) -> bool:
        """One statement as a transaction. Whether it changed anything."""
        return await self.at_once(lambda db: db.execute(statement, values).rowcount > 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A write transaction of several steps that nobody else of this process is in: for what may wait."""
        with self._told():
            async with self._lock, transaction(self.db):
                yield

    async def rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, in a transaction of the caller's, or where no transaction is waited for."""
        with self._told():
            return list(await self.db.execute_fetchall(statement, values))

    async def read(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """What a statement gives, outside of any transaction."""
        with self._told():
            await self._outside()
            return await in_its_thread(self.db, lambda: self.db._conn.execute(statement, values).fetchall())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what SQLite says of the file in the words of `importer.errors`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise as_told(error, self.file) from error

    async def _outside(self) -> None:
        """Wait until no transaction of several steps is open. What is handed to the thread without a further wait is
        outside of any, and needs no lock against its like: the thread does one after the other.
        """
        if self._lock.locked():
            async with self._lock:
                pass
