"""The table `tenants`."""

from __future__ import annotations

from engine.postgres.database import Database, Steps
from engine.tenants import Tenant

COLUMNS = "name, created_at, last_import_id, last_run_id"

ID = "(SELECT id FROM tenants WHERE name = %s)"
"""SQL: the id of the tenant of this name, for the `tenant_id` of other tables; NULL if there is none."""


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
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants ORDER BY name")  # noqa: S608 - a constant
        return [Tenant(*row) for row in rows]

    async def find(self, name: str) -> Tenant | None:
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants WHERE name = %s", name)  # noqa: S608
        return next((Tenant(*row) for row in rows), None)

    async def add(self, tenant: Tenant) -> None:
        await self._database.change(
            f"INSERT INTO tenants ({COLUMNS}) VALUES (%s, %s, %s, %s)",  # noqa: S608 - a constant
            *(tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id),
        )

    async def remove(self, name: str) -> None:
        # In a transaction that does not wait for ever: an import, while it runs, keeps its tenant.
        async with self._database.transaction() as steps:
            await steps.change("DELETE FROM tenants WHERE name = %s", name)
