"""The tables `host_keys`, `secrets` and `proof`: sealed values."""

from __future__ import annotations

from collections.abc import Iterable

from engine.postgres.database import Database
from engine.postgres.rows import Row
from engine.postgres.server.tenants import ID
from engine.shared.secrets import Place, Reseal, StoredHostKey

PROOF = "SELECT sealed FROM proof"
ADD = """
    INSERT INTO secrets (tenant_id, name, sealed) SELECT id, %s, %s FROM tenants WHERE name = %s
    ON CONFLICT (tenant_id, name) DO """
SEALED = """
    SELECT 'proof' AS kind, '' AS name, '' AS tenant, sealed FROM proof
    UNION ALL SELECT 'host key', name, '', sealed FROM host_keys
    UNION ALL SELECT 'secret', s.name, t.name, sealed FROM secrets AS s JOIN tenants AS t ON t.id = s.tenant_id
    WHERE t.name IS NOT NULL"""
PUT = {
    "proof": "UPDATE proof SET sealed = %(sealed)s",
    "host key": "UPDATE host_keys SET sealed = %(sealed)s WHERE name = %(name)s",
    "secret": "UPDATE secrets SET sealed = %(sealed)s WHERE name = %(name)s"
    " AND tenant_id = (SELECT id FROM tenants WHERE name = %(tenant)s)",
}


class PostgresSecretStore:
    """An `engine.shared.secrets.SecretStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def proof(self, first: bytes) -> bytes:
        if not (rows := await self._database.read(PROOF)):
            await self._database.change("INSERT INTO proof (sealed) VALUES (%s) ON CONFLICT DO NOTHING", first)
            rows = await self._database.read(PROOF)
        return bytes(rows[0][0])

    async def host_keys(self) -> list[StoredHostKey]:
        rows = await self._database.read("SELECT name, public, sealed FROM host_keys ORDER BY name")
        return [StoredHostKey(row[0], row[1], bytes(row[2])) for row in rows]

    async def add_host_keys(self, keys: Iterable[StoredHostKey]) -> None:
        async with self._database.transaction() as steps:
            # In one order: the first of several servers makes the others wait.
            await steps.change_each(
                "INSERT INTO host_keys (name, public, sealed) VALUES (%s, %s, %s) ON CONFLICT (name) DO NOTHING",
                [(key.name, key.public, key.sealed) for key in sorted(keys, key=lambda key: key.name)],
            )

    async def find(self, tenant: str, name: str) -> bytes | None:
        rows = await self._database.read(
            f"SELECT sealed FROM secrets WHERE tenant_id = {ID} AND name = %s",  # noqa: S608 - a constant
            *(tenant, name),
        )
        return bytes(rows[0][0]) if rows else None

    async def add(self, tenant: str, name: str, sealed: bytes) -> bytes | None:
        await self._database.change(ADD + "NOTHING", name, sealed, tenant)
        return await self.find(tenant, name)

    async def put(self, tenant: str, name: str, sealed: bytes) -> bool:
        return bool(
            await self._database.change(ADD + "UPDATE SET sealed = excluded.sealed", name, sealed, tenant),
        )

    async def sealed(self) -> list[tuple[Place, bytes]]:
        return [_sealed(row) for row in await self._database.read(SEALED)]

    async def reseal(self, reseal: Reseal) -> None:
        async with self._database.transaction() as steps:
            # Writers of sealed values wait, readers do not.
            await steps.change("LOCK TABLE proof, host_keys, secrets IN EXCLUSIVE MODE")
            for row in await steps.rows(SEALED):
                place, before = _sealed(row)
                sealed = reseal(place, before)
                await steps.change(PUT[place.kind], sealed=sealed, name=place.name, tenant=place.tenant)


def _sealed(row: Row) -> tuple[Place, bytes]:
    return Place(row["kind"], row["name"], row["tenant"]), bytes(row["sealed"])
