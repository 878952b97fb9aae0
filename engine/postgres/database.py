"""The only transactions of PostgreSQL.

Everything works through pgbouncer in transaction mode. So a connection has no state between two transactions:
settings are SET LOCAL, locks end with their transaction, and no statement is prepared by name.

Placeholders are `%s`, or `%(name)s` for values by name; a percent sign is `%%` in a statement with values.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import psycopg

from engine.postgres.connecting import Connection, connect, parameters
from engine.postgres.faults import AGAIN, first_line, translating
from engine.postgres.pool import Pool
from engine.postgres.rows import Row
from engine.postgres.together import Joined, joined_by
from ground.afterwards import Act, do_all, put_off
from ground.threads import finish
from importer.errors import DatabaseFault, OutcomeUnknown

# psycopg warns of what it cannot do with a connection that is lost, such as to end a pipeline or a transaction. The
# part that used the connection reports the loss.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

T = TypeVar("T")

LOCK_S = 10.0
"""The longest wait for a lock."""
AWAY_S = 15.0
"""The longest wait for a connection of a pool. Another host takes over within 3 to 10 seconds, mostly."""
IDLE_S = 8.0
"""PostgreSQL rolls back a transaction that was idle for so long: its process is frozen, or its host is gone.

It is shorter than LOCK_S: a client of another server waits for the end of such a transaction, and then is served.
"""
ATTEMPTS = 3
"""How often a statement is begun that another transaction ended, or that did nothing before a connection was lost."""

READING = "transaction_read_only"
"""The setting of a transaction that only reads, if it is "on"."""
ON_NO_DISK = {"synchronous_commit": "off"}
"""Settings of a transaction that a crash of PostgreSQL may undo until a later one is on disk."""


class Steps:
    """A transaction that is open: its statements see each other, and no other transaction sees them yet."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        """For what this class has no method for: COPY, pipelines, cursors."""

    async def rows(self, statement: str, *values: object, **named: object) -> list[Row]:
        """Return the rows of a statement, also of one with RETURNING."""
        return await (await self.connection.execute(statement, parameters(values, named))).fetchall()

    async def change(self, statement: str, *values: object, **named: object) -> int:
        """Run a statement; return how many rows it changed."""
        return (await self.connection.execute(statement, parameters(values, named))).rowcount

    async def blobs(self, statement: str, *values: object, **named: object) -> list[Row]:
        """Return the rows of a statement that reads, in the binary format: as text, bytes are twice as long."""
        return await (await self.connection.execute(statement, parameters(values, named), binary=True)).fetchall()

    async def change_each(self, statement: str, values: Iterable[Sequence[object] | Mapping[str, object]]) -> int:
        """Run a statement for each of these values, without a wait between them; return how many rows changed."""
        async with self.connection.cursor() as cursor:
            await cursor.executemany(statement, values)
            return max(cursor.rowcount, 0)


class Database:
    """The database at `url`, through the connections that `lend` gives.

    All methods raise TryAgain, DatabaseUnusable and DatabaseFault as `engine.postgres.faults` maps errors. Each is
    one transaction. Use a Database only in the event loop in which it was opened.
    """

    def __init__(self, url: str, lend: Callable[..., AbstractAsyncContextManager[Connection]]) -> None:
        self.url = url
        self._lend = lend

    async def read(self, statement: str, *values: object, **named: object) -> list[Row]:
        """Return the rows of one statement that reads."""
        return await self._read(lambda steps: steps.rows(statement, *values, **named))

    async def blobs(self, statement: str, *values: object, **named: object) -> list[Row]:
        """Return the rows of one statement that reads, as `Steps.blobs` does."""
        return await self._read(lambda steps: steps.blobs(statement, *values, **named))

    async def change(self, statement: str, *values: object, **named: object) -> int:
        """Run one statement as a transaction, and return how many rows it changed: they are on disk.

        If the caller is canceled, the statement has ended before the cancellation goes on.
        """

        if joined_by(self):
            async with self.transaction() as steps:
                return await steps.change(statement, *values, **named)

        async def act() -> int:
            async with self._committed({}) as connection:
                return (await connection.execute(statement, parameters(values, named))).rowcount

        with translating():
            return await finish(again(act))

    async def step(self, statement: str, *values: object, **named: object) -> int:
        """Run one statement as a part of the block of `together` that this task is in, with fewer round trips.

        Return how many rows it changed. It is not undone alone: if it fails, so must the block. Without a block, it
        is a transaction.
        """
        if not (around := joined_by(self)):
            return await self.change(statement, *values, **named)
        with translating():
            return await Steps(around.connection).change(statement, *values, **named)

    @asynccontextmanager
    async def transaction(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[Steps]:
        """Run the block as one transaction: committed if it ends, rolled back if it raises or is canceled.

        Either is done when the block is left. `settings` hold in this transaction only.
        """
        settings = settings or {}
        around = joined_by(self)
        with translating():
            if around and "transaction_isolation" not in settings:
                async with around.savepoint(dict(settings.items() - ON_NO_DISK.items())):
                    yield Steps(around.connection)
                return
            async with self._committed(settings, reading=settings.get(READING) == "on") as connection:
                yield Steps(connection)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Run the block as one transaction, which the calls of this object by the same task in it join.

        Each of these is on disk only with the whole, whatever its own settings are, and is undone alone if it raises.
        One that needs a snapshot of its own does not join. Acts that they put off (`ground.afterwards`) follow the
        commit, before the block is left. Blocks may be nested.
        """
        if joined_by(self):
            async with self.transaction():
                yield
            return
        stored: list[Act] = []
        try:
            with translating():
                joined = Joined(self)
                async with self._begun(lambda connection: joined.begin(connection, _begin({}))) as connection:

                    async def commit() -> None:
                        await joined.commit(_commit, lambda: connect(self.url))
                        stored.extend(joined.acts)

                    try:
                        with joined.joining():
                            yield
                        await finish(commit())
                    except BaseException:
                        await finish(_roll_back(connection))
                        raise
        finally:
            if not put_off(stored):
                await finish(do_all(stored))

    async def _read(self, act: Callable[[Steps], Awaitable[list[Row]]]) -> list[Row]:
        """Return what `act` reads. It is done again if its connection was lost."""
        with translating():
            if around := joined_by(self):
                return await act(Steps(around.connection))
            for left in reversed(range(ATTEMPTS)):
                async with self._lend(reading=True) as connection:
                    try:
                        return await act(Steps(connection))
                    except psycopg.OperationalError:
                        if not left or not connection.broken:
                            raise
        raise AssertionError

    @asynccontextmanager
    async def _committed(self, settings: Mapping[str, str], *, reading: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction that is committed if the block ends, and rolled back if it raises."""
        async with self._begun(lambda connection: connection.execute(_begin(settings)), reading) as connection:
            try:
                yield connection
                await finish(_commit(connection))
            except BaseException:
                await finish(_roll_back(connection))
                raise

    @asynccontextmanager
    async def _begun(
        self, begin: Callable[[Connection], Awaitable[object]], reading: bool = False
    ) -> AsyncIterator[Connection]:
        """Lend a connection on which `begin` has begun a transaction; another one if the first was lost."""
        for left in reversed(range(ATTEMPTS)):
            async with self._lend(reading=reading) as connection:
                try:
                    await begin(connection)
                except BaseException as error:
                    lost = isinstance(error, psycopg.OperationalError) and connection.broken
                    await finish(_roll_back(connection))
                    if not left or not lost:
                        raise
                    continue
                yield connection
                return


@asynccontextmanager
async def pooled(url: str, *, most: int) -> AsyncIterator[Database]:
    """Open the database with a pool of up to `most` connections, which are made when they are needed."""
    pool = Pool(lambda: connect(url), most, AWAY_S)
    resting = asyncio.create_task(pool.rest(), name="idle connections")
    try:
        yield Database(url, pool.lend)
    finally:
        resting.cancel()
        await finish(pool.close())


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[Database]:
    """Open the database with one connection, for work in its own event loop or one transaction after another.

    Raises TryAgain, DatabaseUnusable.
    """
    with translating():
        connection = await connect(url)
    lock = asyncio.Lock()

    @asynccontextmanager
    async def lend(*, reading: bool = False) -> AsyncIterator[Connection]:
        async with lock:
            yield connection

    try:
        yield Database(url, lend)
    finally:
        await finish(connection.close())


async def again(act: Callable[[], Awaitable[T]]) -> T:
    """Return what `act` returns; begin it anew if another transaction ended it, a few times."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return await act()
        except psycopg.OperationalError as error:
            if error.sqlstate not in AGAIN or not left:
                raise
    raise AssertionError


def _begin(settings: Mapping[str, str]) -> str:
    """Return BEGIN with its settings: one round trip, because it has no values."""
    defaults = {
        # Whatever the database's default is: a writer sees what those before it wrote.
        "transaction_isolation": "read committed",
        "lock_timeout": f"{LOCK_S * 1000:.0f}ms",
        "idle_in_transaction_session_timeout": f"{IDLE_S:.0f}s",
    }
    return "; ".join(
        ["BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in {**defaults, **settings}.items())]
    )


async def _commit(connection: Connection) -> None:
    """Commit. Raises OutcomeUnknown if the connection is lost meanwhile."""
    if connection.closed:
        raise psycopg.OperationalError("the connection is closed")
    try:
        done = await connection.execute("COMMIT")
    except psycopg.OperationalError as error:
        if connection.broken:
            raise OutcomeUnknown(first_line(error)) from error
        raise
    if done.statusmessage != "COMMIT":
        # A statement failed, and the block went on: PostgreSQL answers COMMIT with a ROLLBACK.
        raise DatabaseFault("the transaction was rolled back, because a statement in it had failed")


async def _roll_back(connection: Connection) -> None:
    """End the transaction; without an error, also if the connection is lost."""
    try:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()
