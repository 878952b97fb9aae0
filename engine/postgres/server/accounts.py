"""The database as logins read it: on the event loop itself, so no wait may be long.

PostgreSQL may need long to answer, or may never do it: its host is gone, or frozen. So a thread has the connection,
and a caller waits only a moment for the thread. While the thread waits for an answer that came too late, the others
are not asked to wait at all.

Open sessions read the accounts of many tenants in one statement, by the same thread, and let the event loop go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import psycopg

from engine.postgres.connecting import blocking
from engine.postgres.faults import translating
from engine.postgres.rows import Row
from engine.postgres.server.listing import COPIES_NEEDED
from engine.postgres.server.runs import COPIES_NEEDED as RUN_COPIES_NEEDED
from engine.postgres.shared.keys import read_key
from engine.shared.keys import Admission, StoredKey
from importer.errors import DatabaseDamaged, DatabaseFault, DatabaseUnusable, TryAgain

WAIT_S = 0.3
"""The longest wait of a login for an answer."""
CONNECT_S = 5.0
"""The longest wait of the thread for a connection, and of a start for the first one."""

HAS = "SELECT 1 FROM tenants WHERE name = %(tenant)s"
ADMISSIONS = """
    SELECT t.name, t.id, (SELECT json_object_agg(key, value) FROM settings WHERE tenant_id = t.id) AS settings,
        (SELECT json_agg(json_build_array(kind, encode(blob, 'hex'), comment, added_at, expires, networks)
            ORDER BY number) FROM keys WHERE tenant_id = t.id) AS keys
    FROM tenants AS t WHERE name = ANY(%(tenant)s)"""

_Question = tuple[Future[list[Row]], str, str | list[str]]
"""Where the answer goes, the statement, and its tenant or tenants."""


class PostgresAccountStore:
    """An `engine.accounts.AccountStore` and `engine.shared.keys.AdmissionStore`. A lost connection is made again.

    A caller waits up to `wait_s` for an answer.
    """

    def __init__(self, url: str, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._line = _Line(url)
        self._questions: SimpleQueue[_Question | None] = SimpleQueue()
        self._late: Future[list[Row]] | None = None
        """The newest question that a caller waits for, or did not get an answer to in time."""
        self._closed = False
        # A daemon: the end of the process must not wait for an answer of PostgreSQL.
        self._thread = threading.Thread(target=self._work, name="logins", daemon=True)
        self._thread.start()
        try:
            self._rows(HAS, "", max(CONNECT_S, wait_s))
        except BaseException:
            self.close()
            raise

    def has(self, tenant: str) -> bool:
        return bool(self._rows(HAS, tenant))

    def admission(self, tenant: str) -> Admission | None:
        return _admissions(self._rows(ADMISSIONS, [tenant])).get(tenant)

    async def admissions(self, tenants: Sequence[str]) -> dict[str, Admission]:
        answer = self._asked(ADMISSIONS, list(tenants))
        coming = asyncio.wrap_future(answer)
        try:
            done, _ = await asyncio.wait([coming], timeout=self._wait_s)
            if not done:
                self._late = answer
                raise _silent(self._wait_s)
            return _admissions(coming.result())
        finally:
            coming.cancel()

    def copies_needed(self, tenant: str) -> list[int]:
        return [row[0] for row in self._rows(COPIES_NEEDED, tenant)]

    def run_copies_needed(self, tenant: str) -> list[int]:
        return [row[0] for row in self._rows(RUN_COPIES_NEEDED, tenant)]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._questions.put(None)
            self._thread.join(self._wait_s)

    def _rows(self, statement: str, tenant: str | list[str], wait_s: float | None = None) -> list[Row]:
        limit_s = self._wait_s if wait_s is None else wait_s
        answer = self._late = self._asked(statement, tenant)
        try:
            return answer.result(limit_s)
        except TimeoutError as error:
            raise _silent(limit_s) from error

    def _asked(self, statement: str, tenant: str | list[str]) -> Future[list[Row]]:
        """Give the thread a question, and return its answer to come."""
        if self._closed:
            raise DatabaseUnusable("the database is closed")
        if self._late and not self._late.done():
            raise TryAgain("database_busy", "the database does not answer")
        answer = Future[list[Row]]()
        self._questions.put((answer, statement, tenant))
        return answer

    def _work(self) -> None:
        """Answer the questions, in the thread."""
        with self._line:
            while (question := self._questions.get()) is not None:
                answer, statement, tenant = question
                if not answer.set_running_or_notify_cancel():
                    continue  # no caller waits any more
                try:
                    answer.set_result(self._line.read(statement, tenant))
                except BaseException as error:
                    answer.set_exception(error)


def _silent(limit_s: float) -> TryAgain:
    return TryAgain("database_busy", f"the database does not answer within {limit_s:g} s")


def _admissions(rows: list[Row]) -> dict[str, Admission]:
    return {
        name: Admission(settings or {}, tuple(_key(*each) for each in keys or ()), number)
        for name, number, settings, keys in rows
    }


def _key(kind: str, blob: str, *facts: Any) -> StoredKey:
    return read_key(kind, bytes.fromhex(blob), *facts)


class _Line:
    """A connection that is made when it is needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = ExitStack()
        self._read: Callable[..., list[Row]] | None = None

    def read(self, statement: str, tenant: str | list[str]) -> list[Row]:
        known = self._read is not None
        try:
            return self._try(statement, tenant)
        except TryAgain:
            if not known:
                raise
        return self._try(statement, tenant)  # the connection may have been lost long ago

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._read = None
        self._open.close()

    def _try(self, statement: str, tenant: str | list[str]) -> list[Row]:
        if self._read is None:
            self._read = self._open.enter_context(blocking(self._url, CONNECT_S))
        try:
            with translating():
                return self._read(statement, tenant=tenant)
        except BaseException as error:
            if not (isinstance(error, DatabaseDamaged | DatabaseFault) and _answers(error.__cause__)):
                self.__exit__()
            raise


def _answers(cause: BaseException | None) -> bool:
    """Return whether PostgreSQL itself gave this error, so that the connection is fine."""
    return isinstance(cause, psycopg.Error) and cause.sqlstate is not None
