"""The table `checksums`, and the hashes of files in the table `imports`."""

from __future__ import annotations

from collections.abc import Iterable

from engine.sqlite.server.ledger import Inside, Ledger
from importer.queue.checksum import Checksum, Surroundings
from importer.queue.checksums import KEPT
from importer.queue.entry import Entry

OF_FOLDER = "tenant = ? AND dry_run = ?"
UPLOADS = f"FROM imports WHERE {OF_FOLDER} AND trial IS NULL AND state NOT IN ('arriving', 'aborted', 'ignored')"


NEEDED = (
    f"SELECT coalesce((SELECT max(sequence) {UPLOADS} AND sequence < oldest), 0) FROM"  # noqa: S608 - no values in it
    f" (SELECT min(sequence) AS oldest {UPLOADS} AND undo IS NULL"
    " AND (state IN ('queued', 'running') OR (state = 'held' AND dry_run = 0))) WHERE oldest IS NOT NULL"
)
"""The sequence of the upload before the oldest one that waits: checksums from there on may be for one that waits."""

PRUNE = (
    f"DELETE FROM checksums WHERE {OF_FOLDER}"  # noqa: S608 - no values in it
    f" AND id NOT IN (SELECT id FROM checksums WHERE {OF_FOLDER} ORDER BY id DESC LIMIT ?)"
    " AND id NOT IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY after ORDER BY id DESC) AS place"
    f" FROM checksums WHERE {OF_FOLDER} AND after >= ({NEEDED})) WHERE place <= ?)"
)


def remember(db: Inside, tenant: str, sha256: str, *, dry_run: bool) -> None:
    """Store a checksum that arrived, inside the caller's transaction, and delete old ones as KEPT says."""
    folder = (tenant, dry_run)
    db.execute(
        "INSERT INTO checksums (tenant, dry_run, sha256, after)"
        " VALUES (?, ?, ?, (SELECT coalesce(max(sequence), 0) FROM imports))",
        (*folder, sha256),
    )
    db.execute(PRUNE, (*folder, *folder, KEPT, *folder, *folder, *folder, KEPT))


class SqliteChecksumStore:
    """A `ChecksumStore` of headcount.db."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def folders(self, tenant: str) -> frozenset[bool]:
        rows = await self._ledger.read("SELECT DISTINCT dry_run FROM checksums WHERE tenant = ?", tenant)
        return frozenset(bool(row[0]) for row in rows)

    async def hashed(self, tenant: str, import_id: int, sha256: str) -> None:
        await self._ledger.change(
            "UPDATE imports SET sha256 = ? WHERE tenant = ? AND id = ?", sha256, tenant, import_id
        )

    async def count_against(self, import_id: int, checksums: Iterable[int]) -> None:
        pairs = [(import_id, each) for each in checksums]
        await self._ledger.at_once(
            lambda db: db.executemany("UPDATE checksums SET import_id = ? WHERE id = ?", pairs)
        )

    async def around(self, entry: Entry) -> Surroundings:
        checksums = await self._of_folder(entry)
        if not checksums:
            return Surroundings(())
        folder = (entry.tenant, entry.dry_run)
        rows = await self._ledger.read(
            f"SELECT (SELECT max(sequence) {UPLOADS} AND sequence < ?),"
            f" (SELECT min(sequence) {UPLOADS} AND sequence > ?)",
            *(*folder, entry.sequence, *folder, entry.sequence),
        )
        others = await self._ledger.read(
            "SELECT DISTINCT sha256 FROM imports"
            " WHERE tenant = ? AND id <> ? AND sha256 IS NOT NULL AND trial IS NULL",
            *entry.key,
        )
        return Surroundings(checksums, rows[0][0] or 0, rows[0][1], frozenset(row[0] for row in others))

    async def _of_folder(self, entry: Entry) -> list[Checksum]:
        rows = await self._ledger.read(
            f"SELECT id, sha256, after, import_id FROM checksums WHERE {OF_FOLDER}",  # noqa: S608
            *(entry.tenant, entry.dry_run),
        )
        return [Checksum(*row) for row in rows]
