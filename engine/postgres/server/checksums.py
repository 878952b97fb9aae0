"""The table `checksums`, and the hashes of files in the table `imports`."""

from __future__ import annotations

from collections.abc import Iterable

from engine.postgres.database import Database, Steps
from engine.postgres.server.tenants import ID
from importer.queue.checksum import Checksum, Surroundings
from importer.queue.checksums import KEPT
from importer.queue.entry import Entry

UPLOADS = (
    "FROM imports WHERE tenant_id = {tenant} AND dry_run = %(dry_run)s AND trial IS NULL"
    " AND state NOT IN ('arriving', 'aborted', 'ignored')"
)
OF_HELD, OF_NAMED = UPLOADS.format(tenant="%(tenant_id)s"), UPLOADS.format(tenant=ID.replace("%s", "%(tenant)s"))

ADD = (
    "INSERT INTO checksums (tenant_id, dry_run, sha256, after) SELECT %(tenant_id)s, %(dry_run)s, %(sha256)s,"
    " CASE WHEN is_called THEN last_value ELSE 0 END FROM import_order"
)
"""(Numbers of the tenant's own imports are taken while it is held: none below `last_value` is still to come.)"""

NEEDED = (
    f"SELECT coalesce((SELECT max(sequence) {OF_HELD} AND sequence < oldest), 0) FROM"  # noqa: S608 - constants
    f" (SELECT min(sequence) AS oldest {OF_HELD} AND undo IS NULL"
    " AND (state IN ('queued', 'running') OR (state = 'held' AND NOT dry_run))) AS waiting WHERE oldest IS NOT NULL"
)
"""The sequence of the upload before the oldest one that waits: checksums from there on may be for one that waits."""

OF_FOLDER = "FROM checksums WHERE tenant_id = %(tenant_id)s AND dry_run = %(dry_run)s"
PRUNE = (
    f"DELETE {OF_FOLDER} AND id NOT IN (SELECT id {OF_FOLDER} ORDER BY id DESC LIMIT %(kept)s)"  # noqa: S608
    " AND id NOT IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY after ORDER BY id DESC) AS place"
    f" {OF_FOLDER} AND after >= ({NEEDED})) AS needed WHERE place <= %(kept)s)"
)
AROUND = (
    f"SELECT (SELECT max(sequence) {OF_NAMED} AND sequence < %(sequence)s),"
    f" (SELECT min(sequence) {OF_NAMED} AND sequence > %(sequence)s)"
)


async def remember(steps: Steps, tenant_id: int, sha256: str, *, dry_run: bool) -> None:
    """Store a checksum that arrived, inside the caller's transaction, which holds the tenant.

    Old ones are deleted as KEPT says.
    """
    await steps.change(ADD, tenant_id=tenant_id, dry_run=dry_run, sha256=sha256)
    await steps.change(PRUNE, tenant_id=tenant_id, dry_run=dry_run, kept=KEPT)


class PostgresChecksumStore:
    """A `ChecksumStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def folders(self, tenant: str) -> frozenset[bool]:
        rows = await self._database.read(
            f"SELECT DISTINCT dry_run FROM checksums WHERE tenant_id = {ID}",  # noqa: S608 - a constant
            tenant,
        )
        return frozenset(row[0] for row in rows)

    async def hashed(self, tenant: str, import_id: int, sha256: str) -> None:
        await self._database.change(
            f"UPDATE imports SET sha256 = %s WHERE tenant_id = {ID} AND id = %s",  # noqa: S608 - a constant
            *(sha256, tenant, import_id),
        )

    async def count_against(self, import_id: int, checksums: Iterable[int]) -> None:
        await self._database.change(
            "UPDATE checksums SET import_id = %s WHERE id = ANY (%s)", import_id, list(checksums)
        )

    async def around(self, entry: Entry) -> Surroundings:
        checksums = await self._of_folder(entry)
        if not checksums:
            return Surroundings(())
        rows = await self._database.read(AROUND, tenant=entry.tenant, dry_run=entry.dry_run, sequence=entry.sequence)
        others = await self._database.read(
            f"SELECT DISTINCT sha256 FROM imports WHERE tenant_id = {ID} AND id <> %s"  # noqa: S608 - a constant
            " AND sha256 IS NOT NULL AND trial IS NULL",
            *entry.key,
        )
        return Surroundings(checksums, rows[0][0] or 0, rows[0][1], frozenset(row[0] for row in others))

    async def _of_folder(self, entry: Entry) -> list[Checksum]:
        rows = await self._database.read(
            "SELECT id, sha256, after, import_id FROM checksums"  # noqa: S608 - a constant
            f" WHERE tenant_id = {ID} AND dry_run = %s ORDER BY id",
            *(entry.tenant, entry.dry_run),
        )
        return [Checksum(*row) for row in rows]
