"""The table `key_uses`."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from engine.key_uses import Use
from engine.sqlite.server.ledger import Ledger


class SqliteKeyUseStore:
    """An `engine.key_uses.KeyUseStore`. It reads through `looking`, so that a page waits for no write."""

    def __init__(self, ledger: Ledger, looking: Ledger) -> None:
        self._ledger = ledger
        self._looking = looking

    async def of(self, tenant: str) -> dict[str, Use]:
        rows = await self._looking.read("SELECT fingerprint, used_at, address FROM key_uses WHERE tenant = ?", tenant)
        return {row[0]: Use(row[1], row[2]) for row in rows}

    async def write(self, tenant: str, uses: Mapping[str, Use], keys: Collection[str] | None) -> None:
        async with self._ledger.transaction():
            await self._ledger.db.executemany(
                "INSERT OR REPLACE INTO key_uses (tenant, fingerprint, used_at, address)"
                " SELECT name, ?, ?, ? FROM tenants WHERE name = ?",
                [(fingerprint, use.at, use.address, tenant) for fingerprint, use in uses.items()],
            )
            if keys is not None:
                await self._ledger.db.execute(
                    "DELETE FROM key_uses WHERE tenant = ? AND fingerprint NOT IN (SELECT value FROM json_each(?))",
                    (tenant, json.dumps(list(keys))),
                )

    async def remove(self, tenant: str, fingerprint: str) -> None:
        await self._ledger.change("DELETE FROM key_uses WHERE tenant = ? AND fingerprint = ?", tenant, fingerprint)
