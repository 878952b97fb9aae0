"""The table `open_sessions`: those of servers that have gone do not count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from engine.postgres.database import ON_NO_DISK, Database, Steps
from engine.postgres.rows import Row
from engine.postgres.server.tenants import ID
from importer.errors import TryAgain

LOCK = 0x73657373
"""The first number of the advisory locks of logins; the second is the tenant's id."""

HELD = f"SELECT pg_advisory_xact_lock(%s, {ID}::integer), EXISTS (SELECT 1 FROM nodes WHERE number = %s)"  # noqa: S608
OPENED = """
    INSERT INTO open_sessions (tenant_id, number, node)
    SELECT id, nextval('session_numbers'), %(node)s FROM tenants
    WHERE name = %(tenant)s AND %(most)s > (SELECT count(*) FROM open_sessions AS open
        WHERE open.tenant_id = tenants.id AND EXISTS (SELECT 1 FROM nodes WHERE nodes.number = open.node))
    RETURNING tenant_id, number"""
HELD_BY_ID = "SELECT pg_advisory_xact_lock(%s, %s::integer), EXISTS (SELECT 1 FROM nodes WHERE number = %s)"
WRITTEN = """
    INSERT INTO open_sessions (tenant_id, number, node) SELECT %(tenant)s, number, %(node)s
    FROM unnest(%(numbers)s::bigint[]) AS mine (number) ORDER BY number
    LIMIT greatest(0, %(most)s - (SELECT count(*) FROM open_sessions AS open
        WHERE open.tenant_id = %(tenant)s AND EXISTS (SELECT 1 FROM nodes WHERE nodes.number = open.node)))
    ON CONFLICT DO NOTHING RETURNING number"""
CLOSED = "DELETE FROM open_sessions WHERE node = %s AND number = ANY (%s)"
TAKEN_FOR_GONE = "the other servers take this one for gone"


class PostgresSessionStore:
    """An `engine.sessions.SessionStore` of the server with the number `node`.

    `writing` ends a block that waits when the database refuses to write. No login waits for another primary then: it
    would take long.
    """

    def __init__(
        self, database: Database, node: int, writing: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        self._database = database
        self._writing = writing
        self._node = node
        self._mine: dict[int, tuple[int, int]] = {}
        """The sessions of this server: the tenant of each number, and how many that may have."""
        self._ended: set[int] = set()
        self._unsure = False
        """Whether a change may be stored or not: its answer was lost."""

    async def open(self, tenant: str, most: int) -> int | None:
        async with self._writing():
            with self._unsure_if_it_raises():
                found = await self._opened(tenant, most)
        for tenant_id, number in found:
            self._mine[number] = tenant_id, most
            return int(number)
        return None

    async def close(self, number: int) -> None:
        self._mine.pop(number, None)
        with self._unsure_if_it_raises():
            await self._remove([number])

    async def agree(self) -> set[int]:
        if not self._mine and not self._ended and not self._unsure:
            return set()
        self._unsure = False
        with self._unsure_if_it_raises():
            rows = await self._database.read("SELECT number FROM open_sessions WHERE node = %s", self._node)
            stored = {int(row[0]) for row in rows}
            over = await self._write(self._mine.keys() - stored)
            ended = stored - self._mine.keys()
            # One that is just being opened is known here only at the next look.
            if both := ended & self._ended:
                await self._remove(sorted(both))
            self._ended = ended
        return over

    async def _opened(self, tenant: str, most: int) -> list[Row]:
        async with self._database.transaction(ON_NO_DISK) as steps:
            # Held before the statement begins, so that it sees what was opened while it waited.
            await _require_known(steps, HELD, LOCK, tenant, self._node)
            return await steps.rows(OPENED, tenant=tenant, node=self._node, most=most)

    async def _write(self, lost: Collection[int]) -> set[int]:
        """Count sessions again that were lost, as far as there is room; return the others."""
        by_tenant: dict[int, list[int]] = {}
        for number in lost:
            if number in self._mine:
                by_tenant.setdefault(self._mine[number][0], []).append(number)
        over: set[int] = set()
        for tenant, numbers in by_tenant.items():
            self._unsure = True  # one may end meanwhile
            most = min(self._mine[number][1] for number in numbers)
            async with self._database.transaction(ON_NO_DISK) as steps:
                await _require_known(steps, HELD_BY_ID, LOCK, tenant, self._node)
                facts = {"tenant": tenant, "node": self._node, "numbers": numbers, "most": most}
                written = {int(row[0]) for row in await steps.rows(WRITTEN, **facts)}
            over |= {number for number in numbers if number in self._mine and number not in written}
        for number in over:
            del self._mine[number]
        return over

    async def _remove(self, numbers: list[int]) -> None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            await steps.change(CLOSED, self._node, numbers)

    @contextmanager
    def _unsure_if_it_raises(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._unsure = True
            raise


async def _require_known(steps: Steps, held: str, *values: object) -> None:
    """Hold the sessions of a tenant. Raises TryAgain if sessions of this server would not count for others."""
    ((_, known),) = await steps.rows(held, *values)
    if not known:
        raise TryAgain("database_busy", TAKEN_FOR_GONE)
