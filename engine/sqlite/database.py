"""Open and change a SQLite file: pragmas, migrations, and the only transactions.

Canceling a call of aiosqlite does not stop the statement: it keeps running in its thread, and the transaction stays
open. So a transaction here always ends, by COMMIT or ROLLBACK, before a cancellation goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, closing, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from engine.sqlite.copies import copy_before, keep_copy
from engine.sqlite.faults import as_try_again, translated
from engine.sqlite.unusable import restore
from engine.sqlite.wal import log_is_lost, mend_log, mend_log_of_commit, not_flushed
from ground.threads import Coming, finish
from importer.errors import DatabaseUnusable, SchemaTooNew

log = logging.getLogger(__name__)

T = TypeVar("T")

Through = Callable[[Callable[[], sqlite3.Connection], int], aiosqlite.Connection]
"""How statements reach SQLite.

Arguments: the function that connects, and the number of rows a cursor fetches at once.
"""

BUSY_TIMEOUT_S = 10.0
ROWS_AT_ONCE = 64
CHECKPOINT_AT = 1000
"""Pages of the log after which SQLite moves them into the database: its own default."""
VERSION = "PRAGMA user_version"
PATIENCE_S = 0.05
"""The longest wait of a cancellation while statements run one after the other without a thread."""


async def open_database(
    path: Path, kind: str, *, readonly: bool = False, make: bool = False, through: Through | None = None
) -> aiosqlite.Connection:
    """Open the database at `path` and migrate its schema. A database of an older Headcount is copied before.

    `kind` names the schema: `server` (headcount.db) or `tenant` (users.db). Autocommit outside `transaction()`. Only
    with `make` is a database created if there is none or an empty one: for a caller that creates the whole folder.
    Statements run in the connection's thread, or as `through` does it.

    Raises DatabaseUnusable; SchemaTooNew if a newer Headcount wrote it; TryAgain if the disk is full, or if another
    process has locked it even for readers.
    """
    try:
        return await _open(path, kind, readonly, make, through or Threaded)
    except sqlite3.DatabaseError as error:
        raise translated(error, path) from error


async def _open(path: Path, kind: str, readonly: bool, make: bool, through: Through) -> aiosqlite.Connection:
    found = 0

    def connect() -> sqlite3.Connection:
        nonlocal found
        db, found = _connect(path, kind, readonly, make)
        return db

    db = await through(connect, ROWS_AT_ONCE)
    try:
        if not readonly and found != newest_version(kind):
            await _migrate(db, path, kind, found)
    except BaseException:
        await db.close()
        raise
    return db


def _connect(path: Path, kind: str, readonly: bool, make: bool) -> tuple[sqlite3.Connection, int]:
    """Return the connection, and the version of the schema found.

    All in one call, because each call is a round trip to the connection's thread.
    """
    mode = "ro" if readonly else "rwc" if make else "rw"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=256,
        check_same_thread=False,
    )
    try:
        db.row_factory = sqlite3.Row
        (version,) = db.execute(VERSION).fetchone()
        if not make:
            check_version(path, kind, version)
        if not readonly:
            db.execute("PRAGMA journal_mode=WAL")
        pragmas = ["synchronous=FULL", "foreign_keys=ON", "temp_store=FILE"]
        if kind == "server":
            pragmas.append("secure_delete=ON")  # files are in it for a while; one that its tenant deletes is not
        for pragma in pragmas:
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db, version


class Threaded(aiosqlite.Connection):
    """A connection with its own thread, which has ended if opening it raises or is canceled."""

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        self._thread.start()
        return self._opened().__await__()

    async def _opened(self) -> aiosqlite.Connection:
        def connect() -> None:
            self._connection = self._connector()

        try:
            await in_its_thread(self, connect)
        except BaseException:
            # aiosqlite would not wait for its thread, which may then report to a closed event loop.
            if stopped := self.stop():
                await finish(stopped)
            raise
        return self


class Inline(aiosqlite.Connection):
    """A connection without a thread, for work that runs apart (apart.py): a statement blocks where it is awaited."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], rows_at_once: int) -> None:
        super().__init__(connect, rows_at_once)
        self._looked_at = time.monotonic()

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._opened().__await__()

    async def _opened(self) -> aiosqlite.Connection:
        self._connection = self._connector()
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        done = fn(*args, **kwargs)
        if (now := time.monotonic()) - self._looked_at > PATIENCE_S:
            self._looked_at = now
            await asyncio.sleep(0)
        return done

    async def close(self) -> None:
        """Close the connection for good."""
        if (connection := self.given_up()) is not None:
            connection.close()

    def given_up(self) -> sqlite3.Connection | None:
        """Return SQLite's connection for the caller to close, as if this one were closed; None if it is.

        The memory of its cache is freed: it may be much, and the remaining work with the connection needs none.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # it can be closed even so
                connection.execute("PRAGMA shrink_memory")
        return connection


def put_away(connection: sqlite3.Connection) -> None:
    """Move committed data from the log into the database file, as far as possible, and close the connection.

    Blocks.
    """
    with closing(connection), suppress(sqlite3.Error):  # the data is as safe in the log
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def migrations(kind: str) -> list[str]:
    """The SQL scripts of `kind` in order: `tenant-001.sql`, `tenant-002.sql`, ..."""
    folder = resources.files("engine.sqlite.schema")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(f"{kind}-"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in found]


def check_version(path: Path, kind: str, version: int) -> None:
    """Check the schema `version` of the database at `path`.

    Raises DatabaseUnusable if it is 0 (nothing was ever created in it), SchemaTooNew if a newer Headcount wrote it.
    """
    if version == 0:
        raise DatabaseUnusable(f"{path} is empty; {restore(path)}")
    if version > newest_version(kind):
        raise SchemaTooNew(f"{path} was written by a newer Headcount (schema {version}); upgrade Headcount")


@cache
def newest_version(kind: str) -> int:
    """Return the version of the schema of `kind` that this Headcount writes."""
    return len(migrations(kind))


async def _migrate(db: aiosqlite.Connection, path: Path, kind: str, version: int) -> None:
    if version:
        check_version(path, kind, version)
    scripts = migrations(kind)
    async with transaction(db):
        # Another process may have migrated it while this one waited for the lock.
        version = await _version(db)
        older = 0 < version < len(scripts)
        if older:
            await finish(asyncio.to_thread(keep_copy, path, version))
        for number in range(version, len(scripts)):
            for statement in _statements(scripts[number]):
                await db.execute(statement)
            await db.execute(f"PRAGMA user_version={number + 1}")
    if older:
        what = f"{path} was upgraded from schema {version} to {len(scripts)}"
        log.info("%s; its copy is %s.", what, copy_before(path, version).name, extra={"event": "database_upgraded"})


async def _version(db: aiosqlite.Connection) -> int:
    rows = list(await db.execute_fetchall(VERSION))
    return int(rows[0][0])


def _statements(script: str) -> list[str]:
    """Split at statement ends as SQLite sees them (`executescript` would commit on its own)."""
    found, start = [], 0
    for position, letter in enumerate(script):
        if letter == ";" and sqlite3.complete_statement(script[start : position + 1]):
            found.append(script[start : position + 1])
            start = position + 1
    return found


@asynccontextmanager
async def transaction(db: aiosqlite.Connection) -> AsyncIterator[None]:
    """Run the block as a write transaction: committed if it ends, rolled back if it raises or is canceled.

    Either is done when the block is left. Raises TryAgain if the disk is full or the database busy; then nothing was
    changed.
    """
    try:
        try:
            if log_is_lost() and not isinstance(db, Inline):
                await in_its_thread(db, lambda: mend_log(db._conn))
            await finish(db.execute("BEGIN IMMEDIATE"))
            yield
            await finish(db.commit())
        except BaseException:
            await finish(_roll_back(db))
            raise
    except sqlite3.OperationalError as error:
        if not_flushed(error) and not isinstance(db, Inline):  # all of a users.db waits for the disk
            await in_its_thread(db, lambda: mend_log_of_commit(db._conn))
        raise as_try_again(error) from error


async def in_its_thread(db: aiosqlite.Connection, work: Callable[[], T]) -> T:
    """Return what `work` returns in the thread of `db`, where it may use the connection itself.

    If canceled meanwhile, the work has ended before the cancellation goes on. Raises ValueError if `db` is closed.
    """
    if not db._running:
        raise ValueError("Connection closed")
    coming = Coming(work)
    db._tx.put_nowait((None, coming.do))  # as aiosqlite's own methods do: it has no public API for this
    return await coming


async def at_once(db: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T], *, on_disk: bool = True) -> T:
    """Return what `work` returns, run in a write transaction and in one step of the event loop, even a busy one.

    It is committed when this returns; if `work` raises, it is rolled back. Without `on_disk` a power cut may undo it
    until a later write is on disk; a crash of the process does not. Raises TryAgain as `transaction` does.
    """
    try:
        return await in_its_thread(db, lambda: in_transaction(db._conn, work, on_disk=on_disk))
    except sqlite3.OperationalError as error:
        raise as_try_again(error) from error


def in_transaction(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], *, on_disk: bool = True
) -> T:
    """Return what `work` returns, run in a write transaction as by `at_once`. Call it in the connection's thread."""
    lost = False
    mend_log(connection)
    if not on_disk:
        connection.execute("PRAGMA synchronous=NORMAL")
        # A flush of the log that a checkpoint makes may fail silently, and a later one succeeds without what is lost.
        connection.execute("PRAGMA wal_autocheckpoint=0")
    try:
        connection.execute("BEGIN IMMEDIATE")
        done = work(connection)
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        lost = not_flushed(error)
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not on_disk:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_AT}")
        if lost:
            mend_log_of_commit(connection)
    return done


async def _roll_back(db: aiosqlite.Connection) -> None:
    if db.in_transaction:
        await db.rollback()
