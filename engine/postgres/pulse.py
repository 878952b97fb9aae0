"""Whether PostgreSQL can be read and written, as it was a moment ago: asked by a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg

from engine.postgres.connecting import Connection, connect
from engine.postgres.faults import translating
from engine.postgres.pool import is_read_only
from engine.postgres.urls import each_host
from ground.threads import finish
from importer.errors import DatabaseAway, TryAgain

BEAT_S = 0.5
"""Seconds between two questions."""
SILENT_S = 1.5
"""A database that has not answered for so many seconds is away."""
REFUSAL_S = 2
"""The longest wait for the hosts, which are asked at the same time why they take no connection, in seconds."""

ASK = "UPDATE marks SET text = text WHERE false; SELECT pg_current_xact_id()"
"""Changes nothing, and needs no disk. A database that is read-only refuses the first, a standby both."""

Heard = Callable[[Exception | None], None]
"""Is called when the database is found to be away, with the reason, and with None when it is back."""


class Pulse:
    """The newest answer of the database at `url`."""

    def __init__(self, url: str, heard: Heard) -> None:
        self._url = url
        self._heard = heard
        self._connection: Connection | None = None
        self._why: Exception | None = None
        self._writing: set[asyncio.Timeout] = set()
        """The limits that end the blocks of `writing`, which have no time yet."""

    def check(self) -> None:
        """Raise what keeps the database from being read and written, as of the newest answer. Does not wait."""
        if self._why:
            raise self._why.with_traceback(None)

    def check_writes(self) -> None:
        """Raise the newest answer if the database refused to write; nothing if it is only busy. Does not wait."""
        if self._refuses:
            self.check()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Run the block, which waits for the database; end it when that refuses to write, and raise the refusal."""
        self.check_writes()
        try:
            async with asyncio.timeout(None) as limit:
                self._writing.add(limit)
                try:
                    yield
                finally:
                    self._writing.discard(limit)
        except TimeoutError:
            if not limit.expired():
                raise
            self.check()
            raise DatabaseAway("it refused to write a moment ago") from None

    @property
    def _refuses(self) -> bool:
        return self._why is not None and is_read_only(self._why)

    @property
    def is_away(self) -> bool:
        """Whether the newest answer was that the database cannot be used."""
        return self._why is not None

    async def beat(self) -> None:
        """Ask again and again, until it is canceled."""
        while True:
            await self._ask_once()
            await asyncio.sleep(BEAT_S)

    async def close(self) -> None:
        if self._connection:
            await self._connection.close()

    async def _ask_once(self) -> None:
        # A question to a host that is gone is not canceled: that would take another question to the same host.
        asking = asyncio.create_task(self._ask(), name="asking the database")
        try:
            for wait_s in (SILENT_S, BEAT_S / 5):  # twice: the event loop itself may have been late
                await asyncio.wait([asking], timeout=wait_s)
            if not asking.done():
                self._tell(DatabaseAway("it does not answer"))
            self._tell(await asking)
        except asyncio.CancelledError:
            asking.cancel()
            raise

    async def _ask(self) -> Exception | None:
        """Return why the database did not answer; None if it did."""
        for is_known in (self._connection is not None, False):
            try:
                with translating():
                    self._connection = self._connection or await connect(self._url)
                    await self._connection.execute(ASK)
            except Exception as error:
                await self.close()
                self._connection = None
                if not is_known:
                    refusal = await _refusal(self._url) if _is_unexplained(error) else None
                    return refusal or (error if isinstance(error, TryAgain) else DatabaseAway(str(error)))
            else:
                return None
        raise AssertionError

    def _tell(self, why: Exception | None) -> None:
        before, self._why = self._why, why
        while self._refuses and self._writing:
            self._writing.pop().reschedule(asyncio.get_running_loop().time())
        if (before is None) != (why is None):
            self._heard(why)


def _is_unexplained(error: Exception) -> bool:
    """Return whether a connection was refused without a state, as libpq does if the host cannot be written."""
    cause = error.__cause__
    return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None


async def _refusal(url: str) -> Exception | None:
    """Return how the database at `url` refuses to write; None if it does not.

    Each host has to refuse in time: one that is away or silent may be the primary, which is back in a moment.
    """
    asking = [asyncio.create_task(_refusal_of(host), name="asking a host") for host in each_host(url)]
    refusal: Exception | None = None
    try:
        for answer in asyncio.as_completed(asking, timeout=REFUSAL_S):
            if (refusal := await answer) is None:
                return None
    except TimeoutError:
        return None
    finally:
        for each in asking:
            each.cancel()  # and is not awaited: a host that is silent does not hear that soon
    return refusal


async def _refusal_of(host: str) -> Exception | None:
    try:
        with translating():
            async with await connect(host, target_session_attrs="any") as connection:
                await connection.execute(ASK)
    except Exception as error:
        return error if is_read_only(error) else None
    return None


@asynccontextmanager
async def feeling_pulse(url: str, heard: Heard) -> AsyncIterator[Pulse]:
    """Follow whether the database at `url` can be used, while the block runs."""
    pulse = Pulse(url, heard)
    beating = asyncio.create_task(pulse.beat(), name="pulse of the database")
    try:
        yield pulse
    finally:
        beating.cancel()
        await asyncio.wait([beating])
        await finish(pulse.close())
