"""This server among those on the database. It runs as long as it holds the lock on its number.

The lock belongs to a transaction that stays open, on a connection of its own. So PostgreSQL itself tells which server
has gone: it ends the transaction at once if the process was killed, and after `FROZEN_S` if it is frozen or its host
is gone. A thread renews it, because other work may block the event loop for seconds. It works through pgbouncer.

The leader is the server that got the second lock. The one before it may not know yet that it has lost the lock,
because its connection was cut: so the new one begins only when the other is not sure any more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg

from engine.postgres.connecting import WAIT_S, connect_blocking
from engine.postgres.database import Database, Steps
from engine.postgres.faults import first_line, translating
from engine.postgres.rows import Row
from ground.threads import finish
from importer.errors import Stopped, TryAgain

log = logging.getLogger(__name__)

LOCK = 0x6E6F6465
"""The first number of the advisory locks of servers; the second is the number of the server."""
WORK_LOCK = 0x776F726B
"""The same for the long transactions of a server."""
LEADER_LOCK = 0x6C656164

NAME = "headcount node"
"""The connection of a server has this name in the lists of PostgreSQL. Its transaction is as old as the server."""

BEAT_S = 1.0
FROZEN_S = 6.0
"""PostgreSQL takes a server for gone that was silent for so long."""
SURE_S = 4.0
"""A server is sure of its locks for so long after it was last answered."""
UNHEARD_S = 12.0
"""A server that got no answer for so long is surely taken for gone: twice as long, so that no slow answer counts."""
TOLD_S = 60.0
"""Seconds without an answer until the log has the reason, and between two such lines: before, others tell it."""
AGAIN_S = 0.2
AGAIN_WITHIN_S = 2.0
"""The longest wait for a connection in place of one that was lost: then the next try. A start waits longer."""
LONG = "10min"
"""The longest time for which a long transaction may be idle: the process may read 2 GiB from a slow disk."""

_LOCKS = (
    "FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid ="
)
LIVING = f"ARRAY(SELECT objid::bigint {_LOCKS} {LOCK})"
SILENT = f"SELECT number, host, pid FROM nodes WHERE number <> ALL ({LIVING})"  # noqa: S608 - constants
BURIED = f"DELETE FROM nodes WHERE number = ANY (%s) AND number <> ALL ({LIVING}) RETURNING number"  # noqa: S608
ENDED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY (ARRAY("  # noqa: S608 - constants
    f"SELECT pid {_LOCKS} {WORK_LOCK} AND objid::bigint = ANY (%s)))"
    " AND usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
)
"""Ends transactions of this role: those of others may not be ended, and PostgreSQL ends them later."""
RUNS = f"SELECT 1 {_LOCKS} {LOCK} LIMIT 1"

GONE = "(node IS NULL OR NOT EXISTS (SELECT 1 FROM nodes WHERE number = node))"
"""SQL: the server of this row has gone."""
HERE = "node IS NOT DISTINCT FROM %(node)s"
"""SQL: the server with the number `node` works on this row; without a number, a command."""
KNOWN = "(%(node)s::integer IS NULL OR EXISTS (SELECT 1 FROM nodes WHERE number = %(node)s::integer))"
"""SQL: the other servers know the server with the number `node`. Else they would take up at once what it starts."""

NUMBER = "SELECT nextval(pg_get_serial_sequence('nodes', 'number'))"
LEAD = "SELECT pg_try_advisory_xact_lock(%s, 0), EXISTS (SELECT 1 FROM nodes WHERE number <> %s)"
JOINED = "INSERT INTO nodes (number, host, pid) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
# With another isolation, it would keep PostgreSQL from tidying up what was deleted since.
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '{FROZEN_S:.0f}s'"
MOVED = "SELECT 1 FROM marks WHERE name IN ('moved-to', 'moved-from')"
"""Finds whether the data were moved, or are being moved (`server.tenants.moves`)."""
MINE = (
    "SELECT 1 FROM imports WHERE tenant_id = %(tenant)s AND id = %(import)s AND state = 'running' AND node = %(node)s"
)


class PostgresNode:
    """An `engine.nodes.Node`: `begin` it once, then `end` it once. Both block."""

    shares = True

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database
        self.number = 0
        """No other server has this number, before or after."""
        self._connection: psycopg.Connection[Row] | None = None
        self._leads_from = math.inf
        self._answered_at = 0.0
        self._told_at = 0.0
        self._why = ""
        """Why the locks are not held, in the words of PostgreSQL."""
        self._silent: dict[int, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="node", daemon=True)

    def begin(self) -> None:
        """Join the servers on the database. Raises TryAgain, DatabaseUnusable."""
        with translating():
            self._connection = connection = self._connect(WAIT_S)
            ((self.number,),) = connection.execute(NUMBER).fetchall()
            self._join(connection, WAIT_S)
        self._thread.start()

    def end(self) -> None:
        """Leave: any other server may take up what this one still works on."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        elif self._connection:
            self._connection.close()

    def leads(self) -> bool:
        now = time.monotonic()
        return self._leads_from <= now and now - self._answered_at < SURE_S

    def check(self) -> None:
        """Raise TryAgain if this server is surely taken for gone: its logins are refused. Does not wait."""
        if time.monotonic() - self._answered_at >= UNHEARD_S:
            unheard = f"the database has not heard of this server for {UNHEARD_S:g} seconds"
            raise TryAgain("database_busy", unheard, self._why)

    async def bury(self, patience_s: float) -> None:
        now = time.monotonic()
        found = [row["number"] for row in await self._database.read(SILENT)]
        self._silent = {number: self._silent.get(number, now) for number in found}
        gone = [number for number, since in self._silent.items() if now - since >= patience_s]
        if gone:
            await self._end(gone)

    async def bury_ended(self) -> None:
        """Let go of the work of servers whose processes were on this host and have ended. Raises TryAgain.

        Others wait for `bury`: after a restart of PostgreSQL, all servers are silent for a moment.
        """
        host = socket.gethostname()
        rows = await self._database.read(SILENT)
        if ended := [row["number"] for row in rows if row["host"] == host and not _runs(row["pid"])]:
            await self._end(ended)

    async def _end(self, numbers: list[int]) -> None:
        # In one transaction: if this server is killed in between, another one does all of it.
        async with self._database.transaction() as steps:
            gone = [int(row[0]) for row in await steps.rows(BURIED, numbers)]
            await steps.change("DELETE FROM open_sessions WHERE node = ANY (%s)", gone)
            await steps.rows(ENDED, gone)

    # In the thread

    def _beat(self) -> None:
        while not self._ending.is_set():
            try:
                self._hold()
            except psycopg.Error as error:
                self._tell(first_line(error))
            self._leads_from = math.inf
            if self._connection and not self._connection.closed:
                self._leave(self._connection)
            self._connection = None
            self._ending.wait(AGAIN_S)
        if self._connection:  # it ended before the first beat
            self._leave(self._connection)

    def _tell(self, why: str) -> None:
        """Note why the locks are not held. Log it if that lasts, once in `TOLD_S`."""
        self._why = why
        now = time.monotonic()
        if now - max(self._answered_at, self._told_at) >= TOLD_S:
            self._told_at = now
            log.error(
                "This server cannot hold its lock in the database (%s); other servers take it for gone; retrying.",
                why,
                extra={"event": "server_lock_missing"},
            )

    def _hold(self) -> None:
        """Hold the locks until the server stops. Raises psycopg.Error if they are lost."""
        connection = self._connection or self._join_again()
        self._connection = connection
        while not self._ending.wait(BEAT_S):
            self._ask(connection)

    def _join_again(self) -> psycopg.Connection[Row]:
        connection = self._connect(AGAIN_WITHIN_S)
        try:
            self._stop_if_moved(connection)
            if self._join(connection, AGAIN_WITHIN_S, self._stop_if_moved):
                log.warning(
                    "The database had not heard of this server; other servers have taken up its work.",
                    extra={"event": "server_unheard"},
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def _stop_if_moved(self, connection: psycopg.Connection[Row]) -> None:
        """Stop the server if the data were moved while it was silent: `headcount migrate` took it for gone.

        Otherwise two places would be used. It is called again until the server ends; a second signal ends it at once.
        """
        if connection.execute(MOVED).fetchone():
            log.critical(
                "The data of the database were moved while this server was frozen or the network was away; it stops.",
                extra={"event": "server_moved"},
            )
            os.kill(os.getpid(), signal.SIGTERM)
            raise psycopg.OperationalError("the data were moved")

    def _connect(self, timeout_s: float) -> psycopg.Connection[Row]:
        return connect_blocking(self._url, NAME, timeout_s)

    def _join(
        self,
        connection: psycopg.Connection[Row],
        timeout_s: float,
        check: Callable[[psycopg.Connection[Row]], None] = lambda _: None,
    ) -> bool:
        """Take the lock, then write the row, so that there is none without a lock. Return whether it was absent.

        `check` is called in between, when others find the lock.
        """
        with self._connect(timeout_s) as other:  # the transaction of the lock has no end
            asked_at = time.monotonic()
            connection.execute(BEGIN)
            held = connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (LOCK, self.number)).fetchone()
            if not held or not held[0]:  # PostgreSQL has not noticed yet that the former connection is lost
                raise psycopg.OperationalError("the lock is still held")
            check(other)
            self._answered_at = asked_at
            absent = other.execute(JOINED, (self.number, socket.gethostname(), os.getpid())).rowcount > 0
        self._ask(connection)
        return absent

    def _ask(self, connection: psycopg.Connection[Row]) -> None:
        """Show that this server runs, and try to lead. Raises psycopg.Error if the others take it for gone."""
        with _cut_after(FROZEN_S, connection):
            self._ask_within(connection)

    def _ask_within(self, connection: psycopg.Connection[Row]) -> None:
        asked_at = time.monotonic()
        if not connection.execute("SELECT 1 FROM nodes WHERE number = %s", (self.number,)).fetchone():
            raise psycopg.OperationalError("the row has been removed")
        if self._leads_from == math.inf:
            got, others = connection.execute(LEAD, (LEADER_LOCK, self.number)).fetchall()[0]
            if got:
                self._leads_from = time.monotonic() + (SURE_S if others else 0)
        self._answered_at, self._why = asked_at, ""

    def _leave(self, connection: psycopg.Connection[Row]) -> None:
        with suppress(psycopg.Error):
            if self._ending.is_set():
                connection.execute("DELETE FROM nodes WHERE number = %s", (self.number,))
                connection.execute("COMMIT")  # with the row, the locks end
        connection.close()


@asynccontextmanager
async def joined(url: str, database: Database) -> AsyncIterator[PostgresNode]:
    """Be a server on the database while the block runs."""
    node = PostgresNode(url, database)
    try:
        await node.bury_ended()  # first: a server that has ended cannot think that it leads
        await finish(asyncio.to_thread(node.begin))  # else it could join after its end
        yield node
    finally:
        await asyncio.to_thread(node.end)


@contextmanager
def _cut_after(seconds: float, connection: psycopg.Connection[Row]) -> Iterator[None]:
    """Cut a connection off that does not answer in time: pgbouncer may hang, and its clients with it.

    PostgreSQL does not hold the locks any longer either. The block then raises psycopg.OperationalError.
    """
    timer = threading.Timer(seconds, _cut, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: psycopg.Connection[Row]) -> None:
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _runs(pid: int) -> bool:
    """Return whether the process of another server runs. A process that has this one's number has ended before it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


async def a_server_runs(database: Database) -> bool:
    """Return whether any server runs on the database."""
    return bool(await database.read(RUNS))


async def end_with(steps: Steps, node: int | None) -> None:
    """Let a transaction that may be idle for long end with the server of this number; None: a command."""
    if node is not None:
        await steps.rows("SELECT pg_advisory_xact_lock_shared(%s, %s)", WORK_LOCK, node)


async def hold_work(steps: Steps, tenant: int, import_id: int, node: int | None) -> None:
    """Let the transaction of an import end with the server of this number; None: a command.

    It may be idle for long after that. Not before: a process that froze in between would hold the users of a tenant
    for as long. Raises Stopped if another server has taken up the import: its messages are not to be written again.
    """
    await end_with(steps, node)
    if node is not None:
        await _require(MINE, steps, tenant, import_id, node)
    await steps.rows("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", LONG)


async def require_claim(steps: Steps, tenant: int, import_id: int, node: int | None) -> None:
    """Check that no other server has taken up the import, and let none until the transaction ends. Raises Stopped."""
    if node is not None:
        await _require(f"{MINE} FOR SHARE", steps, tenant, import_id, node)


async def _require(statement: str, steps: Steps, tenant: int, import_id: int, node: int) -> None:
    if not await steps.rows(statement, **{"tenant": tenant, "import": import_id, "node": node}):
        raise Stopped("another server has taken up this import")
