"""The table `open_sessions`: those of servers that have gone do not count."""

from __future__ import annotations

from engine.postgres.database import ON_NO_DISK, Database
from engine.postgres.server.tenants import ID

LOCK = 0x73657373
"""The first number of the advisory locks of logins; the second is the tenant's id."""

OPENED = """
    INSERT INTO open_sessions (tenant_id, number, node)
    SELECT id, nextval('session_numbers'), %(node)s FROM tenants
    WHERE name = %(tenant)s AND %(most)s > (SELECT count(*) FROM open_sessions AS open
        WHERE open.tenant_id = tenants.id AND EXISTS (SELECT 1 FROM nodes WHERE nodes.number = open.node))
    RETURNING tenant_id, number"""
WRITTEN = """
    INSERT INTO open_sessions (tenant_id, number, node) SELECT mine.*, %s
    FROM unnest(%s::bigint[], %s::bigint[]) AS mine ON CONFLICT DO NOTHING"""
CLOSED = "DELETE FROM open_sessions WHERE node = %s AND number = ANY (%s)"


class PostgresSessionStore:
    """An `engine.sessions.SessionStore` of the server with the number `node`."""

    def __init__(self, database: Database, node: int) -> None:
        self._database = database
        self._node = node
        self._mine: dict[int, int] = {}
        """The tenants of the sessions of this server, by the numbers of these."""
        self._ended: set[int] = set()

    async def open(self, tenant: str, most: int) -> int | None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            # Held before the statement begins, so that it sees what was opened while it waited.
            await steps.rows(f"SELECT pg_advisory_xact_lock(%s, {ID}::integer)", LOCK, tenant)
            found = await steps.rows(OPENED, tenant=tenant, node=self._node, most=most)
        for tenant_id, number in found:
            self._mine[number] = tenant_id
            return int(number)
        return None

    async def close(self, number: int) -> None:
        self._mine.pop(number, None)
        await self._remove([number])

    async def agree(self) -> None:
        if not self._mine and not self._ended:
            return
        rows = await self._database.read("SELECT number FROM open_sessions WHERE node = %s", self._node)
        stored = {int(row[0]) for row in rows}
        if lost := self._mine.keys() - stored:
            numbers = sorted(lost & self._mine.keys())
            async with self._database.transaction(ON_NO_DISK) as steps:
                await steps.change(WRITTEN, self._node, [self._mine[each] for each in numbers], numbers)
        ended = stored - self._mine.keys()
        # One that is just being opened is known here only at the next look.
        if both := ended & self._ended:
            await self._remove(sorted(both))
        self._ended = ended

    async def _remove(self, numbers: list[int]) -> None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            await steps.change(CLOSED, self._node, numbers)
