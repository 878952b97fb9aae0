"""Connections that are lent to one user at a time.

PostgreSQL may end them at any time: it restarts, or another host takes over. A connection that it has ended is not
lent. While no new one can be made, a borrower waits, and the next try follows within half a second: most borrowers do
not notice a restart.

A new connection is made only to a host that can be written. After PostgreSQL refused to write, the connections from
before are lent only to readers, and are closed when there is a new one. Writers wait for that, and take no place.
"""

from __future__ import annotations

import asyncio
import math
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from engine.postgres.rows import Row
from importer.errors import DatabaseUnusable, TryAgain

Connection = psycopg.AsyncConnection[Row]
T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
"""Between two tries to connect. Each pause is twice as long as the one before."""
IDLE_S = 60.0
"""A connection that nothing has used for so long is closed."""
OLD_S = 3600.0
"""A new connection takes the place of one that is older, whose process in PostgreSQL only grows."""


@dataclass(slots=True)
class _Resting:
    """A connection that is not lent. Times are those of the event loop."""

    connection: Connection
    made_at: float
    since: float
    old_at: float
    """When a new one takes its place, if one can be made."""


class Pool:
    """Up to `most` connections, which `connect` makes when they are needed. A borrower waits up to `wait_s`."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int, wait_s: float) -> None:
        self._connect = connect
        self._most = most
        self._wait_s = wait_s
        self._places = asyncio.Semaphore(most)
        self._one_try = asyncio.Lock()
        self._resting: list[_Resting] = []
        self._refused_at = -math.inf
        """When PostgreSQL refused to write. Connections that were made before it are not lent to writers."""
        self._refuses = False
        """Whether no connection was made since then."""
        self._closed = False

    @asynccontextmanager
    async def lend(self, *, reading: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection without a transaction. If it has one at the end, it is closed.

        `reading`: it will not be written, so it may be to a host that cannot be written now.
        Raises psycopg.OperationalError if none can be made, TryAgain if all are in use, and DatabaseUnusable if it
        is closed or `connect` raises that.
        """
        lent = await self._take(reading)
        try:
            yield lent.connection
        except BaseException as error:
            if is_read_only(error) and lent.made_at > self._refused_at:
                self._refused_at, self._refuses = _now(), True
            raise
        finally:
            try:
                await self._give_back(lent)
            finally:
                self._places.release()

    async def rest(self) -> None:
        """Close connections that nothing uses. Runs until it is canceled."""
        while True:
            await asyncio.sleep(IDLE_S / 2)
            if self._refuses:
                continue  # no reader could get another one
            before = _now() - IDLE_S
            unused = [each for each in self._resting if each.since < before]
            self._resting = [each for each in self._resting if each.since >= before]
            for each in unused:
                await each.connection.close()

    async def close(self) -> None:
        """Close all connections: those that are lent at the end of that."""
        self._closed = True
        while self._resting:
            await self._resting.pop().connection.close()

    async def _take(self, reading: bool) -> _Resting:
        deadline = _now() + self._wait_s
        if self._refuses and not reading:
            await self._tried(deadline, self._renew)
        try:
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        except TimeoutError:
            raise TryAgain("database_busy", f"all {self._most} connections to the database are in use") from None
        try:
            if found := await self._rested() or await self._freed(deadline):
                return found
            return await self._tried(deadline, self._any)
        except BaseException:
            self._places.release()
            raise

    async def _rested(self) -> _Resting | None:
        """Return the connection that was used last, and works; close those that PostgreSQL has ended."""
        if self._closed:
            raise DatabaseUnusable("the database is closed")
        while self._resting:
            newest = self._resting.pop()
            refuses = newest.made_at <= self._refused_at and not self._refuses
            if not refuses and _is_quiet(newest.connection):
                return newest if _now() < newest.old_at else await self._in_place_of(newest)
            await newest.connection.close()
        return None

    async def _in_place_of(self, old: _Resting) -> _Resting:
        """Return a new connection; the old one if none can be made, as of a database that cannot be written."""
        try:
            made = await self._new()
        except psycopg.OperationalError:
            old.old_at = _now() + IDLE_S
            return old
        except BaseException:
            self._resting.append(old)
            raise
        await old.connection.close()
        return made

    async def _freed(self, deadline: float) -> _Resting | None:
        """While another borrower tries in vain to make a connection, wait for a reader to give its own back."""
        while self._refuses and self._one_try.locked() and _now() < deadline:
            if found := await self._rested():
                return found
            await asyncio.sleep(FIRST_PAUSE_S)
        return None

    async def _any(self) -> _Resting:
        return await self._rested() or await self._new()

    async def _renew(self) -> None:
        """Make a connection that can be written, unless another writer has made one meanwhile."""
        if self._refuses:
            await self._give_back(await self._new())

    async def _new(self) -> _Resting:
        connection, now = await self._connect(), _now()
        self._refuses = False
        return _Resting(connection, made_at=now, since=now, old_at=now + OLD_S)

    async def _tried(self, deadline: float, act: Callable[[], Awaitable[T]]) -> T:
        """Return what `act` returns, which makes a connection; try until the deadline, one borrower at a time."""
        why: psycopg.OperationalError | None = None
        pause_s = FIRST_PAUSE_S
        try:
            async with asyncio.timeout_at(deadline), self._one_try:
                while True:
                    try:
                        return await act()
                    except psycopg.OperationalError as error:
                        why = error
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        except TimeoutError:
            raise why or psycopg.OperationalError(f"no connection came within {self._wait_s:g} s") from None

    async def _give_back(self, lent: _Resting) -> None:
        connection, lent.since = lent.connection, _now()
        idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if idle and not connection.closed and not self._closed:
            self._resting.append(lent)
        else:
            await connection.close()


def is_read_only(error: BaseException) -> bool:
    """Return whether PostgreSQL refused to write: it is a standby, or takes reads only."""
    return any(isinstance(each, psycopg.errors.ReadOnlySqlTransaction) for each in (error, error.__cause__))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_quiet(connection: Connection) -> bool:
    """Return whether there is nothing to read: PostgreSQL has not ended the connection. Without a round trip."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
