"""The check-sums that tenants sent: remembered when they land, and compared when an import starts.

The newest of each folder are kept. What a check-sum that proves a held import whole changes of it is in queue.py.
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
"""So many check-sums are remembered for each folder of a tenant."""

WAITS_MOST = 1000
"""So many uploads are known by when this process first looked at them: more than ever wait at once."""

ROUGHLY = timedelta(minutes=1)
"""A step of the clock that changes nothing of what is said."""


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


class ChecksumStore(Protocol):
    """The check-sums as they are kept, with the imports. Raises TryAgain when nothing can be read or written now."""

    async def folders(self, tenant: str) -> frozenset[bool]:
        """For which folders of a tenant check-sums are remembered: that of dry runs (True), that of real imports."""

    async def hashed(self, tenant: str, import_id: int, sha256: str) -> None:
        """Write down the hash of the content of a file."""

    async def around(self, entry: Entry) -> Surroundings:
        """What `entry` is judged by: the check-sums of its folder, and, if there are some, the uploads beside it."""

    async def count_against(self, import_id: int, checksums: Iterable[int]) -> None:
        """Write down that these check-sums made this import fail, all or none."""


class Checksums:
    """The check-sums that are kept in `store`. Raises TryAgain when that cannot be read or written now."""

    def __init__(self, store: ChecksumStore) -> None:
        self._store = store
        self.waits = Waits()
        self._unread: dict[tuple[str, int], float] = {}
        """Since when files cannot be read, by the clock of `waits`."""

    async def folders(self, tenant: str) -> frozenset[bool]:
        """For which folders of a tenant check-sums are remembered: that of dry runs (True), that of real imports."""
        return await self._store.folders(tenant)

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
        await self._store.hashed(*waiting.key, sha256)
        return replace(waiting, hashed=True)

    async def compare(self, entry: Entry, *, required: bool, now: datetime) -> Compared:
        """What the check-sums mean for `entry`. When it fails for one, that one counts against no other import."""
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
        """No file runs uncompared: it is read again, for an hour at most."""
        since = self._unread.get(entry.key)
        if since is None:  # the check-sum came after the last look at the file
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
