"""The table `key_uses`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.key_uses import Use
from engine.postgres.database import Database
from engine.postgres.server.tenants import ID, hold

PUT = """
    INSERT INTO key_uses (tenant_id, fingerprint, used_at, address) VALUES (%s, %s, %s, %s)
    ON CONFLICT (tenant_id, fingerprint) DO UPDATE SET used_at = excluded.used_at, address = excluded.address"""


class PostgresKeyUseStore:
    """An `engine.key_uses.KeyUseStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

    async def of(self, tenant: str) -> dict[str, Use]:
        rows = await self._looking.read(
            f"SELECT fingerprint, used_at, address FROM key_uses WHERE tenant_id = {ID}",  # noqa: S608 - a constant
            tenant,
        )
        return {row[0]: Use(row[1], row[2]) for row in rows}

    async def write(self, tenant: str, uses: Mapping[str, Use], keys: Collection[str] | None) -> None:
        async with self._database.transaction() as steps:
            number = await hold(steps, tenant)
            if number is None:
                return
            await steps.change_each(
                PUT, [(number, fingerprint, use.at, use.address) for fingerprint, use in uses.items()]
            )
            if keys is not None:
                await steps.change(
                    "DELETE FROM key_uses WHERE tenant_id = %s AND fingerprint <> ALL (%s)", number, list(keys)
                )

    async def remove(self, tenant: str, fingerprint: str) -> None:
        await self._database.change(
            f"DELETE FROM key_uses WHERE tenant_id = {ID} AND fingerprint = %s",  # noqa: S608 - a constant
            *(tenant, fingerprint),
        )
