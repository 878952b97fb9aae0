"""The table `tenants`."""

from __future__ import annotations

from engine.sqlite.server.ledger import Ledger
from engine.tenants import Tenant

COLUMNS = "name, created_at, last_import_id, last_run_id"


class SqliteTenantStore:
    """An `engine.tenants.TenantStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, ledger: Ledger, looking: Ledger) -> None:
        self._ledger = ledger
        self._looking = looking

    async def list(self) -> list[Tenant]:
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants ORDER BY name")  # noqa: S608 - a constant
        return [Tenant(*row) for row in rows]

    async def find(self, name: str) -> Tenant | None:
        rows = await self._looking.read(f"SELECT {COLUMNS} FROM tenants WHERE name = ?", name)  # noqa: S608
        return next((Tenant(*row) for row in rows), None)

    async def add(self, tenant: Tenant) -> None:
        async with self._ledger.transaction():
            await self._ledger.db.execute(
                f"INSERT INTO tenants ({COLUMNS}) VALUES (?, ?, ?, ?)",  # noqa: S608 - a constant
                (tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id),
            )

    async def remove(self, name: str) -> None:
        async with self._ledger.transaction():
            await self._ledger.db.execute("DELETE FROM tenants WHERE name = ?", (name,))
