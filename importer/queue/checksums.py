"""The checksums that tenants sent: stored when they arrive, compared when an import starts.

The newest of each folder are kept, and those for imports that wait. queue.py says how a checksum that proves a held
import complete requeues it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from ground.moments import from_rfc3339, rfc3339
from importer.model import Outcome
from importer.queue.checksum import (
    CHECKSUM_WAIT,
    Surroundings,
    Verdict,
    against,
    differs,
    judge,
    missing,
    unread,
)
from importer.queue.entry import Entry, Waiting

KEPT = 50
"""The number of newest checksums that are kept for each folder of a tenant.

While imports wait or are held, so many are also kept of those that arrived between two uploads, from the one before
the oldest of them on: a pause may last longer than any number of checksums.
"""

WAITS_MOST = 1000
"""The number of uploads whose first look is remembered: more than ever wait at the same time."""

ROUGHLY = timedelta(minutes=1)
"""A step of the clock up to this long does not change the time that is shown."""


@dataclass(frozen=True, slots=True)
class Compared:
    """An upload compared with its checksums: `end` is its outcome if they make it fail.

    `failed`: the file could not be read to compare it.
    """

    verdict: Verdict
    end: Outcome | None = None
    failed: bool = False


class Waits:
    """How long uploads still wait for their checksums.

    The wait is measured by the monotonic clock `steady` (seconds), from this process's first look at an upload. The
    time that the upload had waited before that look is taken from the wall clock.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        self.steady = steady
        self._ends: dict[tuple[str, int], float] = {}

    def left(self, entry: Entry | Waiting, now: datetime) -> timedelta:
        """Return how much longer `entry` waits; zero or less if its wait is over."""
        end = self._ends.get(entry.key)
        if end is None:
            waited = max(timedelta(), now - from_rfc3339(entry.uploaded_at))
            end = self._ends[entry.key] = self.steady() + (CHECKSUM_WAIT - waited).total_seconds()
            if len(self._ends) > WAITS_MOST:
                del self._ends[next(iter(self._ends))]
        return timedelta(seconds=end - self.steady())

    def until(self, entry: Entry, now: datetime) -> str:
        """Return when the wait ends (RFC 3339): an hour after the upload, unless the clock was set meanwhile."""
        planned, end = from_rfc3339(entry.uploaded_at) + CHECKSUM_WAIT, now + self.left(entry, now)
        if abs(planned - end) > ROUGHLY:
            planned = end.replace(second=0, microsecond=0) + ROUGHLY
        return rfc3339(planned)


class ChecksumStore(Protocol):
    """The stored checksums, and the hashes of imports. Raises TryAgain if they cannot be read or written now."""

    async def folders(self, tenant: str) -> frozenset[bool]:
        """Return the folders of a tenant that have checksums: True for dry runs, False for real imports."""

    async def hashed(self, tenant: str, import_id: int, sha256: str) -> None:
        """Store the hash of the content of an import's file."""

    async def around(self, entry: Entry) -> Surroundings:
        """Return what `entry` is judged by: the checksums of its folder and, if any, the uploads next to it."""

    async def count_against(self, import_id: int, checksums: Iterable[int]) -> None:
        """Store that these checksums made this import fail: all of them or none."""


class Checksums:
    """The checksums in `store`. Raises TryAgain if it cannot be read or written now."""

    def __init__(self, store: ChecksumStore) -> None:
        self._store = store
        self.waits = Waits()
        self._unread: dict[tuple[str, int], float] = {}
        """The moment each file was first unreadable, by the clock of `waits`."""

    async def folders(self, tenant: str) -> frozenset[bool]:
        """Return the folders of a tenant that have checksums: True for dry runs, False for real imports."""
        return await self._store.folders(tenant)

    async def hashed(self, waiting: Waiting, copy: Path) -> Waiting:
        """Hash the file of `waiting`, store the hash, and return `waiting` as hashed.

        If its copy cannot be read, `waiting` is returned as it is; `compare` then keeps it from running.
        """
        try:
            sha256 = await asyncio.to_thread(_hash_of, copy)
        except OSError:
            self._unread.setdefault(waiting.key, self.waits.steady())
            if len(self._unread) > WAITS_MOST:
                del self._unread[next(iter(self._unread))]
            return waiting  # `compare` keeps it from running
        self._unread.pop(waiting.key, None)
        await self._store.hashed(*waiting.key, sha256)
        return replace(waiting, hashed=True)

    async def compare(self, entry: Entry, *, required: bool, now: datetime) -> Compared:
        """Compare `entry` with the checksums. A checksum that makes it fail counts against no other import."""
        around = await self._store.around(entry)
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
        """Keep the file from running uncompared: it is read again, and the import fails after CHECKSUM_WAIT."""
        since = self._unread.get(entry.key)
        if since is None:  # the checksum arrived after the latest look at the file
            return Compared(Verdict.UNREAD)
        if self.waits.steady() - since < CHECKSUM_WAIT.total_seconds():
            return Compared(Verdict.UNREAD, failed=True)
        return Compared(Verdict.UNREAD, unread(entry.file), failed=True)

    async def _differs(self, entry: Entry, around: Surroundings) -> Outcome:
        found = against(entry.id, entry.file.sha256 or "", around)
        await self._store.count_against(entry.id, [each.id for each in found])
        return differs(entry.file, found[0].sha256)


def _hash_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
