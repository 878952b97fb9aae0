"""The table `drafts`. Every statement uses an index."""

from __future__ import annotations

from engine.postgres.database import ON_NO_DISK, Database
from engine.postgres.rows import stored
from engine.postgres.server.tenants import hold
from engine.shared.files import LeftDraft

ADDED = "INSERT INTO drafts (tenant_id, process, path, noted_at) VALUES (%s, %s, %s, %s) RETURNING id"
NOTED = "UPDATE drafts SET path = %s, bytes = %s, noted_at = %s WHERE tenant_id = %s AND id = %s"
REMOVED = "DELETE FROM drafts WHERE tenant_id = %s AND id = %s"
ITS_SERVER_HAS_GONE = "NOT EXISTS (SELECT 1 FROM nodes WHERE number::text = process)"
LEFT = (
    "SELECT (SELECT name FROM tenants WHERE id = tenant_id) FROM"  # noqa: S608 - a constant
    f" (SELECT DISTINCT tenant_id FROM drafts WHERE {ITS_SERVER_HAS_GONE}) AS of"
)
"""Without statistics, a join would read all tenants, twice a second."""
TAKEN = f"DELETE FROM drafts WHERE tenant_id = %s AND {ITS_SERVER_HAS_GONE} RETURNING id, path, bytes, noted_at"  # noqa: S608


class PostgresDraftStore:
    """An `engine.shared.files.DraftStore`.

    `process` is the number of the server; any other text: its process has gone.
    """

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    async def add(self, tenant_id: int, path: str, at: str) -> int:
        # On disk on return: a restart of PostgreSQL would give the number of a lost note to another draft.
        async with self._database.transaction() as steps:
            ((number,),) = await steps.rows(ADDED, tenant_id, self._process, stored(path), at)
        return int(number)

    async def note(self, tenant_id: int, draft: int, path: str, size: int, at: str) -> None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            await steps.change(NOTED, stored(path), size, at, tenant_id, draft)

    async def remove(self, tenant_id: int, draft: int) -> bool:
        return await self._database.step(REMOVED, tenant_id, draft) > 0

    async def left(self) -> set[str]:
        return {row[0] for row in await self._database.read(LEFT) if row[0] is not None}

    async def take_left(self, tenant: str) -> list[LeftDraft]:
        async with self._database.transaction() as steps:
            tenant_id = await hold(steps, tenant)
            found = await steps.rows(TAKEN, tenant_id)
        return [LeftDraft(*row) for _, *row in sorted(found, key=lambda row: int(row[0]))]
