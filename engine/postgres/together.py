"""One transaction that the calls of a task join: see `Database.together`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar

import psycopg

from engine.postgres.faults import first_line
from engine.postgres.rows import Row
from ground.afterwards import Act, putting_off
from ground.threads import finish
from importer.errors import DatabaseAway, OutcomeUnknown

Connection = psycopg.AsyncConnection[Row]
Connect = Callable[[], Awaitable[Connection]]

BEGUN = "{}; INSERT INTO commits (token) VALUES ('{}') RETURNING pg_current_xact_id()::text"
"""Begins the transaction, and leaves the proof that it was committed, if it is. One round trip, because there are no
values."""
STATUS = "SELECT pg_xact_status(%s::xid8)"
PROOF = "SELECT 1 FROM commits WHERE token = %s"
FORGET = "DELETE FROM commits WHERE at < clock_timestamp() - interval '5 minutes'"
"""It reads all proofs, and there are few."""
NOT_GIVEN_YET = "22023"
"""SQLSTATE: no transaction has had this number yet. PostgreSQL was restarted without any trace of it."""
ASKED_S = 10.0
"""How long the outcome of a commit is asked for after its connection was lost."""
AGAIN_S = 0.1

_JOINED: ContextVar[Joined | None] = ContextVar("joined", default=None)


class Joined:
    """The open transaction of a task on one database. Its parts are undone alone, by savepoints."""

    connection: Connection

    def __init__(self, database: object) -> None:
        self.database = database
        self.task = asyncio.current_task()
        self.acts: list[Act] = []
        """Put off until it is on disk."""
        self._number: str | None = None
        self._token = secrets.token_hex(16)
        self._depth = 0

    async def begin(self, connection: Connection, statement: str) -> None:
        """Begin it, and ask for its number: after a lost connection, PostgreSQL knows by that whether it goes on.

        Whether it was committed, only the proof says: after a crash, PostgreSQL gives the number of a transaction of
        which nothing was on disk to another one, which may be committed.
        """
        self.connection = connection
        found = await connection.execute(BEGUN.format(statement, self._token))
        while found.nextset():
            pass
        row = await found.fetchone()
        assert row is not None
        self._number = row[0]

    @contextmanager
    def joining(self) -> Iterator[None]:
        """Let calls of this task join it in the block."""
        before = _JOINED.set(self)
        try:
            with putting_off(self.acts):
                yield
        finally:
            _JOINED.reset(before)

    @asynccontextmanager
    async def savepoint(self, settings: Mapping[str, str]) -> AsyncIterator[None]:
        """Undo what the block did if it raises."""
        self._depth += 1
        name, acts = f"step{self._depth}", len(self.acts)
        try:
            await self.connection.execute(
                "; ".join([f"SAVEPOINT {name}", *(f"SET LOCAL {each} = '{to}'" for each, to in settings.items())])
            )
            yield
            await self.connection.execute(f"RELEASE {name}")
        except BaseException:
            del self.acts[acts:]
            with suppress(psycopg.Error):  # then the connection is lost, and nothing is committed
                await finish(self.connection.execute(f"ROLLBACK TO {name}; RELEASE {name}"))
            raise
        finally:
            self._depth -= 1

    async def commit(self, commit: Callable[[Connection], Awaitable[None]], connect: Connect) -> None:
        """Commit it. If the connection is lost meanwhile, ask PostgreSQL whether it is committed.

        Raises DatabaseAway if it is not, and OutcomeUnknown if there is no answer in time.
        """
        try:
            await commit(self.connection)
        except (psycopg.OperationalError, OutcomeUnknown) as lost:
            if not self.connection.broken:
                raise
            why = lost.why if isinstance(lost, OutcomeUnknown) else first_line(lost)
            committed = await self._was_committed(connect)
            if not committed:
                raise (OutcomeUnknown if committed is None else DatabaseAway)(why) from lost

    async def _was_committed(self, connect: Connect) -> bool | None:
        """Return whether it is committed; None if PostgreSQL does not say."""
        try:
            async with asyncio.timeout(ASKED_S):
                while True:
                    outcome = await self._outcome(connect)
                    if outcome is not None:
                        return outcome
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            return None

    async def _outcome(self, connect: Connect) -> bool | None:
        try:
            async with await connect() as connection:
                # One after the other: the second sees what was committed when the first was answered.
                status = await (await connection.execute(STATUS, (self._number,))).fetchone()
                if not status or status[0] not in ("committed", "aborted"):
                    return None
                proof = await connection.execute(PROOF, (self._token,))
                return await proof.fetchone() is not None
        except psycopg.Error as error:
            return False if error.sqlstate == NOT_GIVEN_YET else None  # else it stops or starts


def joined_by(database: object) -> Joined | None:
    """Return the open transaction on `database` that calls of this task join; None if there is none.

    The tasks that a task starts have its context, but must not use its connection.
    """
    found = _JOINED.get()
    return found if found and found.database is database and found.task is asyncio.current_task() else None


async def forget_proofs(change: Callable[[str], Awaitable[int]]) -> None:
    """Delete the proofs for which no server asks any more, by `change`. Call it about once a minute."""
    await change(FORGET)
