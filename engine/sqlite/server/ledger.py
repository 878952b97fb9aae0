"""One connection to headcount.db, shared by all who write through it: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import aiosqlite

from engine.sqlite.database import at_once, in_its_thread, transaction
from engine.sqlite.faults import translated

T = TypeVar("T")

Inside = sqlite3.Connection
"""headcount.db for the steps of one transaction, in the thread of the database."""


class Ledger:
    """The open headcount.db `db` in `file`.

    All methods raise TryAgain if the disk is full or the database busy, and DatabaseUnusable if it is damaged. A bug
    in Headcount (an invalid statement, a value that breaks a rule of the table) raises DatabaseFault.
    """

    def __init__(self, db: aiosqlite.Connection, file: Path) -> None:
        self.db = db
        self.file = file
        self._lock = asyncio.Lock()

    async def at_once(self, work: Callable[[Inside], T], *, on_disk: bool = True) -> T:
        """Run `work` as a write transaction in one step, which a busy event loop does not delay.

        See `engine.sqlite.database.at_once`.
        """
        with self._translating():
            await self._outside()
            return await at_once(self.db, work, on_disk=on_disk)

    async def run(self, work: Callable[[Inside], T]) -> T:
        """Run `work` in the thread of the database, outside of any transaction; it makes its own."""
        with self._translating():
            await self._outside()
            return await in_its_thread(self.db, lambda: work(self.db._conn))

    async def change(self, statement: str, *values: object) -> bool:
        """Run one statement as a transaction; return whether it changed anything."""
        return await self.at_once(lambda db: db.execute(statement, values).rowcount > 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Run a write transaction of several steps, exclusive in this process: for work that may wait."""
        with self._translating():
            async with self._lock, transaction(self.db):
                yield

    async def rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """Return the rows of a statement, in the caller's transaction, or without waiting for one."""
        with self._translating():
            return list(await self.db.execute_fetchall(statement, values))

    async def read(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        """Return the rows of a statement, outside of any transaction."""
        return await self.run(lambda db: db.execute(statement, values).fetchall())

    def translated(self, error: Exception) -> Exception:
        """Return the exception of `importer.errors` for an error of SQLite, and every other exception as it is."""
        return translated(error, self.file) if isinstance(error, sqlite3.DatabaseError) else error

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Raise SQLite's errors as exceptions of `importer.errors`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self.translated(error) from error

    async def _outside(self) -> None:
        """Wait until no transaction of several steps is open.

        A call given to the thread without a further await is then outside of any. It needs no lock against other such
        calls: the thread does one after the other.
        """
        if self._lock.locked():
            async with self._lock:
                pass
