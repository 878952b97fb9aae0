"""One connection to headcount.db, shared by all who write through it: one transaction after the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import aiosqlite

from engine.landing import Stored
from engine.sqlite.database import at_once, flush_log, in_its_thread, move_log, transaction
from engine.sqlite.faults import FULL_OR_BUSY, translated
from importer.errors import TryAgain

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
        self._unstored: dict[str, Callable[[], bool]] = {}

    async def at_once(self, work: Callable[[Inside], T], *, on_disk: bool = True) -> T:
        """Run `work` as a write transaction in one step, which a busy event loop does not delay.

        See `engine.sqlite.database.at_once`.
        """
        with self._translating():
            await self._outside()
            return await at_once(self.db, work, on_disk=on_disk)

    async def in_steps(self, work: Callable[[Inside], T], keep: Callable[[], None], of: str) -> tuple[T, Stored]:
        """Run `work` in the thread of the database. It makes transactions of its own, by `in_transaction`.

        A commit that did not wait for the disk is on the disk soon after, and all later work of the thread waits for
        that. Before it, the thread calls `keep`, which brings to the disk what the commit relies on, or raises
        OSError. The second value that is returned waits for both; after a failure it tries both again at each call.
        So does the next work of the same tenant, `of`, before it begins: it may replace what the commit relies on.
        Raises TryAgain if that fails.
        """
        stored = Future[None]()
        stored.set_running_or_notify_cancel()  # a canceled wait must not cancel it

        def store() -> None:
            try:
                keep()
                self._flush()
            except BaseException as error:
                self._unstored.setdefault(of, store_again)  # this work did not begin if there is one
                stored.set_exception(error)
            else:
                stored.set_result(None)

        def store_again() -> bool:
            keep()
            return move_log(self.db._conn)

        def work_after_the_last() -> T:
            self._store_again(of)
            return work(self.db._conn)

        async def wait() -> None:
            if not stored.done():
                with suppress(Exception):
                    await asyncio.wrap_future(stored)
            if (failure := stored.exception()) is not None:
                await self._outside()
                if not await in_its_thread(self.db, store_again):
                    raise failure

        with self._translating():
            await self._outside()
            return await in_its_thread(self.db, work_after_the_last, store), wait

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
        with self._translating():
            await self._outside()
            return await in_its_thread(self.db, lambda: self.db._conn.execute(statement, values).fetchall())

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

    def _store_again(self, of: str) -> None:
        """Bring to the disk what the last work of a tenant could not, in the thread of the database."""
        if (again := self._unstored.get(of)) is None:
            return
        try:
            stored = again()
        except OSError:
            stored = False
        if not stored:
            raise TryAgain(*FULL_OR_BUSY[sqlite3.SQLITE_IOERR])
        del self._unstored[of]

    def _flush(self) -> None:
        """Bring to the disk what was committed without that, in the thread of the database. Raises OSError."""
        try:
            flush_log(self.file)
        except OSError:
            if not move_log(self.db._conn):
                raise

    async def _outside(self) -> None:
        """Wait until no transaction of several steps is open.

        A call given to the thread without a further await is then outside of any. It needs no lock against other such
        calls: the thread does one after the other.
        """
        if self._lock.locked():
            async with self._lock:
                pass
