"""The table `keys`."""

from __future__ import annotations

from collections.abc import Iterable

from engine.postgres.database import Database
from engine.postgres.rows import Row
from engine.postgres.server.tenants import ID, hold
from engine.shared.keys import Change, StoredKey

COLUMNS = "kind, blob, comment, added_at, expires, networks"
OF = f"SELECT {COLUMNS} FROM keys WHERE tenant_id = "  # noqa: S608 - a constant
IN_ORDER = " ORDER BY number"
PUT = f"INSERT INTO keys (tenant_id, {COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)"  # noqa: S608 - a constant


class PostgresKeyStore:
    """An `engine.shared.keys.KeyStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

    async def of(self, tenant: str) -> list[StoredKey]:
        return _read(await self._looking.read(OF + ID + IN_ORDER, tenant))

    async def change(self, tenant: str, change: Change) -> bool:
        async with self._database.transaction() as steps:
            number = await hold(steps, tenant)
            if number is None:
                return False
            before = _read(await steps.rows(OF + "%s" + IN_ORDER, number))
            after = list(change(tuple(before)))
            for key in before:
                if key not in after:
                    await steps.change("DELETE FROM keys WHERE tenant_id = %s AND blob = %s", number, key.blob)
            await steps.change_each(PUT, [(number, *_values(key)) for key in after if key not in before])
        return True


def _read(rows: Iterable[Row]) -> list[StoredKey]:
    return [read_key(*row) for row in rows]


def read_key(
    kind: str, blob: bytes, comment: str, added_at: str, expires: str | None, networks: Iterable[str]
) -> StoredKey:
    """Return the key in a row of COLUMNS."""
    return StoredKey(kind, bytes(blob), comment, added_at, expires, tuple(networks))


def _values(key: StoredKey) -> tuple[object, ...]:
    return key.kind, key.blob, key.comment, key.added_at, key.expires, list(key.networks)
