"""The table `tenants`."""

from __future__ import annotations

from collections.abc import Iterable

from engine.postgres.database import Database, Steps
from engine.postgres.tenant.holding import LOCK
from engine.tenants import Tenant
from importer.errors import TryAgain

COLUMNS = "name, created_at, last_import_id, last_run_id"

ID = "(SELECT id FROM tenants WHERE name = %s)"
"""SQL: the id of the tenant of this name, for the `tenant_id` of other tables; NULL if there is none."""


PUT_ASIDE = """
    UPDATE tenants SET name = NULL, removed_name = name, removed_at = clock_timestamp() WHERE name = %s
    RETURNING id"""
END_WRITERS = """
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) JOIN tenants ON objid = id::oid
    WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted AND name = %s
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user)"""
"""Ends the connection of the writer of a tenant's users: its transaction is rolled back."""
PATIENCE_S = 1
"""The longest wait of a removal for a writer that may end by itself."""
TRIES = 5
ENDING = ("tokens", "imports", "runs", "checksums", "outbox", "key_uses", "figures")
"""The tables whose rows end with their tenant at once."""
DELETE_REMOVED = """
    DELETE FROM tenants WHERE id = (SELECT id FROM tenants
        WHERE removed_at < clock_timestamp() - make_interval(secs => %s) ORDER BY removed_at LIMIT 1
        FOR UPDATE SKIP LOCKED)"""
BYTES = f"SELECT coalesce(sum(size), 0) FROM contents WHERE tenant_id = {ID}"  # noqa: S608 - a constant
LOOKS = """
    SELECT name, id, written::text FROM tenants JOIN meta ON tenant_id = id
    WHERE name IS NOT NULL AND (%(wanted)s::text[] IS NULL OR name = ANY (%(wanted)s))"""


async def hold(steps: Steps, name: str) -> int | None:
    """Return the id of a tenant, and keep its row locked until the transaction ends; None if there is no such tenant.

    So another transaction that holds the tenant, or removes it, waits. Those that only refer to it do not wait.
    """
    rows = await steps.rows("SELECT id FROM tenants WHERE name = %s FOR NO KEY UPDATE", name)
    return rows[0]["id"] if rows else None


class PostgresTenantStore:
    """An `engine.tenants.TenantStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

    async def list(self) -> list[Tenant]:
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants WHERE name IS NOT NULL ORDER BY name")  # noqa: S608
        return [Tenant(*row) for row in rows]

    async def find(self, name: str) -> Tenant | None:
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants WHERE name = %s", name)  # noqa: S608
        return next((Tenant(*row) for row in rows), None)

    async def add(self, tenant: Tenant) -> None:
        await self._database.change(
            f"INSERT INTO tenants ({COLUMNS}) VALUES (%s, %s, %s, %s)",  # noqa: S608 - a constant
            *(tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id),
        )

    async def add_new(self, tenant: Tenant) -> bool:
        """Store a tenant, and return whether no other one has its name."""
        statement = f"INSERT INTO tenants ({COLUMNS}) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO NOTHING"  # noqa: S608
        values = tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id
        return bool(await self._database.change(statement, *values))

    async def remove(self, name: str) -> None:
        await self.put_aside(name)

    async def put_aside(self, name: str) -> bool:
        """Remove a tenant with what `TenantStore.remove` names; return whether there was one.

        The rest of its rows is kept until `delete_removed`. An import keeps its tenant, so one that runs is ended,
        and nothing of it is applied.
        """
        for left in reversed(range(TRIES)):
            try:
                return await self._put_aside(name)
            except TryAgain as error:
                if error.code != "database_busy" or not left:
                    raise
            await self._database.read(END_WRITERS, LOCK, name)
        raise AssertionError

    async def _put_aside(self, name: str) -> bool:
        async with self._database.transaction({"lock_timeout": f"{PATIENCE_S}s"}) as steps:
            rows = await steps.rows(PUT_ASIDE, name)
            for (number,) in rows:
                for table in ENDING:
                    await steps.change(f"DELETE FROM {table} WHERE tenant_id = %s", number)  # noqa: S608 - constants
            return bool(rows)

    async def delete_removed(self, after_s: float) -> bool:
        """Delete one tenant that was removed `after_s` seconds ago or earlier; return whether there was one."""
        return bool(await self._database.change(DELETE_REMOVED, after_s))

    async def bytes_of(self, name: str) -> int:
        """Return the bytes of the stored files of a tenant, those included that are not needed any more."""
        return int((await self._looking.read(BYTES, name))[0][0])

    async def looks(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Return how the users and settings of these tenants look, or of all: a text that changes with every write.

        Tenants that do not exist, or have no users, are left out.
        """
        wanted = None if names is None else [*names]
        return {row[0]: f"{row[1]}.{row[2]}" for row in await self._looking.read(LOOKS, wanted=wanted)}
