"""The table `kept_files`. Every statement uses an index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from engine.postgres.database import Database
from engine.postgres.files.contents import OF
from engine.postgres.rows import Row
from engine.postgres.server.tenants import hold
from engine.shared.files import ContentGone, KeptFile
from importer.errors import Refused

COLUMNS = "name, content_id, size, extract(epoch FROM kept_at)::double precision"
KEPT = (
    "INSERT INTO kept_files (tenant_id, name, content_id, size) SELECT tenant_id, %(name)s, id, size FROM contents"
    " WHERE tenant_id = %(id)s AND id = %(content)s AND sealed FOR KEY SHARE"
    " ON CONFLICT (tenant_id, name) DO UPDATE"
    " SET content_id = excluded.content_id, size = excluded.size, kept_at = excluded.kept_at"
)
DROPPED = "DELETE FROM kept_files WHERE tenant_id = %(id)s AND name = ANY (%(names)s)"
FOUND = f"SELECT {COLUMNS} FROM kept_files WHERE {OF} AND name = ANY (%(names)s) ORDER BY name"  # noqa: S608 - constants
LISTED = (
    f"SELECT {COLUMNS} FROM kept_files WHERE {OF}"  # noqa: S608 - constants
    " AND name >= %(start)s AND name < %(end)s ORDER BY name"
)


class PostgresKeptFiles:
    """A `engine.shared.files.KeptFiles`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant: str, files: Iterable[tuple[str, int]]) -> None:
        async with self._database.transaction() as steps:
            tenant_id = await hold(steps, tenant)
            if tenant_id is None:
                raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
            await keep(steps.change, tenant_id, files)

    async def drop(self, tenant: str, names: Iterable[str]) -> None:
        async with self._database.transaction() as steps:
            tenant_id = await hold(steps, tenant)
            await steps.change(DROPPED, id=tenant_id, names=list(names))

    async def find(self, tenant: str, names: Iterable[str]) -> list[KeptFile]:
        return [_file(row) for row in await self._database.read(FOUND, tenant=tenant, names=list(names))]

    async def list(self, tenant: str, start: str) -> list[KeptFile]:
        end = start[:-1] + chr(ord(start[-1]) + 1)
        return [_file(row) for row in await self._database.read(LISTED, tenant=tenant, start=start, end=end)]


async def keep(change: Callable[..., Awaitable[int]], tenant_id: int, files: Iterable[tuple[str, int]]) -> None:
    """Let names of a tenant that is held refer to contents, by statements that `change` runs. Raises ContentGone."""
    for name, content in files:
        if not await change(KEPT, id=tenant_id, name=name, content=content):
            raise ContentGone(f"the content {content} is no longer stored")


def _file(row: Row) -> KeptFile:
    return KeptFile(*row)
