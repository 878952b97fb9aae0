"""The check-sums that tenants sent, in headcount.db: remembered when they land, and compared when an import starts.

The newest of each folder are kept. What a check-sum that proves a held import whole changes of it is in queue.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ground.moments import from_rfc3339, rfc3339
from importer.model import Outcome
from importer.queue.checksum import (
    CHECKSUM_WAIT,
    Checksum,
    Surroundings,
    Verdict,
    against,
    differs,
    judge,
    missing,
    unread,
)
from importer.queue.entry import Entry, Waiting
from importer.queue.ledger import Inside, Ledger

KEPT = 50
"""So many check-sums are remembered for each folder of a tenant."""

WAITS_MOST = 1000
"""So many uploads are known by when this process first looked at them: more than ever wait at once."""

ROUGHLY = timedelta(minutes=1)
"""A step of the clock that changes nothing of what is said."""

OF_FOLDER = "tenant = ? AND dry_run = ?"
UPLOADS = f"FROM imports WHERE {OF_FOLDER} AND trial IS NULL AND state NOT IN ('arriving', 'aborted', 'ignored')"


@dataclass(frozen=True, slots=True)
class Compared:
    """An upload compared with the check-sums: `end` is its outcome if they make it fail.

    `failed`: its file was tried to be read for them, in vain.
    """

    verdict: Verdict
    end: Outcome | None = None
    failed: bool = False


class Waits:
    """How long uploads still wait for their check-sums.

    Counted by a clock that never steps (`steady`, in seconds), from the moment at which this process first looked at
    an upload; what it had waited before, by the other.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self.steady = steady
        self._ends: dict[tuple[str, int], float] = {}

    def left(self, entry: Entry | Waiting, now: datetime) -> timedelta:
        """How much longer `entry` waits; nothing or less if its wait is over."""
        end = self._ends.get(entry.key)
        if end is None:
            waited = max(timedelta(), now - from_rfc3339(entry.uploaded_at))
            end = self._ends[entry.key] = self.steady() + (CHECKSUM_WAIT - waited).total_seconds()
            if len(self._ends) > WAITS_MOST:
                del self._ends[next(iter(self._ends))]
        return timedelta(seconds=end - self.steady())

    def until(self, entry: Entry, now: datetime) -> str:
        """When that will be (RFC 3339): an hour after the upload, unless the clock stepped meanwhile."""
        planned, end = from_rfc3339(entry.uploaded_at) + CHECKSUM_WAIT, now + self.left(entry, now)
        if abs(planned - end) > ROUGHLY:
            planned = end.replace(second=0, microsecond=0) + ROUGHLY
        return rfc3339(planned)


def remember(db: Inside, tenant: str, sha256: str, *, dry_run: bool) -> None:
    """Write down a check-sum that landed, inside the caller's transaction; forget the oldest beyond KEPT."""
    db.execute(
        "INSERT INTO checksums (tenant, dry_run, sha256, after)"
        " VALUES (?, ?, ?, (SELECT coalesce(max(sequence), 0) FROM imports))",
        (tenant, dry_run, sha256),
    )
    db.execute(
        f"DELETE FROM checksums WHERE {OF_FOLDER} AND id NOT IN"  # noqa: S608 - no values in it
        f" (SELECT id FROM checksums WHERE {OF_FOLDER} ORDER BY id DESC LIMIT ?)",
        (tenant, dry_run, tenant, dry_run, KEPT),
    )


class Checksums:
    """Raises TryAgain when headcount.db can't be written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.waits = Waits()
        self._unread: dict[tuple[str, int], float] = {}
        """Since when files cannot be read, by the clock of `waits`."""

    async def folders(self, tenant: str) -> frozenset[bool]:
        """For which folders of a tenant check-sums are remembered: that of dry runs (True), that of real imports."""
        rows = await self._ledger.read("SELECT DISTINCT dry_run FROM checksums WHERE tenant = ?", tenant)
        return frozenset(bool(row[0]) for row in rows)

    async def hashed(self, waiting: Waiting, copy: Path) -> Waiting:
        """`waiting`, with the hash of its content written down, if its copy can be read."""
        try:
            sha256 = await asyncio.to_thread(_hash_of, copy)
        except OSError:
            self._unread.setdefault(waiting.key, self.waits.steady())
            if len(self._unread) > WAITS_MOST:
                del self._unread[next(iter(self._unread))]
            return waiting  # `compare` keeps it from running
        self._unread.pop(waiting.key, None)
        await self._ledger.change("UPDATE imports SET sha256 = ? WHERE tenant = ? AND id = ?", sha256, *waiting.key)
        return replace(waiting, hashed=True)

    async def compare(self, entry: Entry, *, required: bool, now: datetime) -> Compared:
        """What the check-sums mean for `entry`. When it fails for one, that one counts against no other import."""
        around = await self._around(entry)
        if not (required or around.checksums):
            return Compared(Verdict.SILENT)
        if entry.file.sha256 is None:
            return self._not_read(entry)
        over = self.waits.left(entry, now) <= timedelta()
        verdict = judge(entry.id, entry.file.sha256, around, required=required, over=over)
        if verdict is Verdict.MISSING:
            return Compared(verdict, missing(entry.file))
        if verdict is Verdict.DIFFERS:
            return Compared(verdict, await self._differs(entry, around))
        return Compared(verdict)

    def _not_read(self, entry: Entry) -> Compared:
        """No file runs uncompared: it is read again, for an hour at most."""
        since = self._unread.get(entry.key)
        if since is None:  # the check-sum came after the last look at the file
            return Compared(Verdict.UNREAD)
        if self.waits.steady() - since < CHECKSUM_WAIT.total_seconds():
            return Compared(Verdict.UNREAD, failed=True)
        return Compared(Verdict.UNREAD, unread(entry.file), failed=True)

    async def _differs(self, entry: Entry, around: Surroundings) -> Outcome:
        found = against(entry.id, entry.file.sha256 or "", around)
        pairs = [(entry.id, each.id) for each in found]
        await self._ledger.at_once(
            lambda db: db.executemany("UPDATE checksums SET import_id = ? WHERE id = ?", pairs)
        )
        return differs(entry.file, found[0].sha256)

    async def _around(self, entry: Entry) -> Surroundings:
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


def _hash_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
