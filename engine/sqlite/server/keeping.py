"""Bring files that landed at once to the disk, after their OK: several at a time, in the order in which they landed.

Until then headcount.db has their bytes. The theory is in `server.files.local.landing`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import sqlite3
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from engine.sqlite.database import in_transaction
from engine.sqlite.faults import FULL_OR_BUSY
from engine.sqlite.server.landing import Steps
from engine.sqlite.server.ledger import Inside, Ledger
from engine.sqlite.wal import flush_log, lose_log, mend_log
from ground.threads import Coming, finish
from importer.errors import TryAgain

log = logging.getLogger(__name__)

T = TypeVar("T")

LATER_S = 1.0
"""The files of a client that sends many come to the disk together, with few flushes of the file system's journal.

An OPEN that makes a file waits for each of these, and each step of the flushes takes the interpreter from the loop.
"""
MANY = 256
MANY_BYTES = 2 * 1024 * 1024
"""So many come to the disk at once, and no file waits for that."""
MOST = 512
MOST_BYTES = 4 * 1024 * 1024
"""The database has no more files and bytes of them: the next file waits."""
AT_A_TIME = 16
"""So many land at a time, each after a look at the limits above. Many tenants may want it; one thread does it."""
SHARE = 64
"""At most one of so many descriptors is that of such a file; it may need two more, for its folders."""


class Keeping:
    """The files of all tenants that may not be on the disk under their names. Use it in one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._left: list[Storing] = []
        self._bytes = 0
        self._failing: set[str] = set()
        self.undone: set[tuple[str, int]] = set()
        """The keys of runs that did not land, and are not deleted yet because that failed, too."""
        self._one_at_a_time = asyncio.Lock()
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._thread = ThreadPoolExecutor(1, "keeping")  # its own: a landing waits for no other work
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def land(self, steps: Steps) -> Storing:
        """Land a file by its steps, in the thread of the database; its bytes and its row are on the disk then.

        Raises what the steps do, and TryAgain if earlier files of the tenant cannot be brought to the disk.
        """
        await self._try_failing(steps.tenant)
        async with self._turns:
            if len(self._left) >= _at_most(MOST, SHARE) or self._bytes >= MOST_BYTES:
                await self.keep()
            storing = Storing(self, steps)
            try:
                await self._ledger.run(steps.land)
            finally:
                if steps.left:
                    if not steps.shown:
                        self.undone.add(steps.key)
                    self._left.append(storing)
                    self._bytes += steps.size
                    self._later()
        return storing

    async def keep(self) -> None:
        """Return when all files that have landed are on the disk, or that has failed. Raises nothing."""
        await finish(self._keep())

    async def end(self) -> None:
        """Bring all to the disk, before the database is closed."""
        await self.keep()
        if self._task is not None:
            await self._task
        self._stop_timer()
        self._thread.shutdown(wait=False)

    async def _try_failing(self, tenant: str) -> None:
        if tenant in self._failing:
            await self.keep()
            if tenant in self._failing:
                raise TryAgain(*FULL_OR_BUSY[sqlite3.SQLITE_IOERR])

    def _later(self) -> None:
        if self._one_at_a_time.locked():
            return  # the end of `_keep` calls it again
        many = len(self._left) >= _at_most(MANY, 2 * SHARE) or self._bytes >= MANY_BYTES
        if self._timer is None or many:
            self._due_in(0.0 if many else LATER_S)

    def _due_in(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._keep(), name="keeping")

    async def _keep(self) -> None:
        async with self._one_at_a_time:
            self._stop_timer()
            if not (left := [*self._left]):
                return
            await self._try(left)
            landed_meanwhile = len(self._left) > len(left)
            self._left = [each for each in self._left if not each.done]
            self._bytes = sum(each.steps.size for each in self._left)
            self.undone = {each.steps.key for each in self._left if not each.steps.shown}
            self._note_failures()
        if landed_meanwhile:
            self._later()
        elif self._left:
            self._due_in(LATER_S)

    def _note_failures(self) -> None:
        failures = {each.steps.tenant: each.failure for each in self._left if each.failure}
        for tenant in sorted(failures.keys() - self._failing):
            failure = failures[tenant]
            log.error(
                "Files for hooks of %s cannot be brought to the disk (%s); retrying.",
                *(tenant, getattr(failure, "strerror", None) or failure),
                exc_info=None if isinstance(failure, OSError | TryAgain) else failure,
                extra={"event": "files_owed", "tenant": tenant},
            )
        self._failing = {*failures}

    async def _try(self, left: Collection[Storing]) -> None:
        """Bring these files to the disk, and delete their bytes. Each is done then, or has its failure."""
        if not (kept := await self._in_thread(partial(_flushed, left))):
            return
        try:
            await self._ledger.run(lambda db: _end(db, kept))
            await self._flush()
        except Exception as failure:
            for each in kept:
                each.failure = failure
        else:
            for each in kept:
                each.done = True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        coming = Coming(work)
        self._thread.submit(coming.do)
        return await coming

    async def _flush(self) -> None:
        """Bring the end of the bytes to the disk. Raises OSError."""
        try:
            await self._in_thread(partial(flush_log, self._ledger.file))
        except OSError as failure:
            lose_log(self._ledger.file)
            try:
                await self._ledger.run(mend_log)
            except TryAgain:
                raise failure from None


class Storing:
    """The `engine.landing.Stored` of one file."""

    def __init__(self, keeping: Keeping, steps: Steps) -> None:
        self._keeping = keeping
        self.steps = steps
        self.done = False
        self.failure: Exception | None = None

    async def __call__(self) -> None:
        if not self.done:
            await self._keeping.keep()
        if not self.done:
            raise self.failure or OSError(errno.EIO, os.strerror(errno.EIO))


def _at_most(files: int, share: int) -> int:
    """Return `files`, or less if one of `share` descriptors that this process may have is not enough for so many."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return files if limit == resource.RLIM_INFINITY else min(files, max(1, limit // share))


def _flushed(left: Collection[Storing]) -> list[Storing]:
    """Flush the files and their folders; return those that are on the disk. Blocks, and raises nothing.

    The bytes of a file stay while an earlier one of its tenant fails: a start would place that over it.
    """
    folders: set[tuple[int, int]] = set()
    failed: dict[str, Exception] = {}
    kept = list[Storing]()
    for each in left:
        each.steps.begin_keep()
    for each in left:
        tenant = each.steps.tenant
        try:
            if tenant in failed:
                raise failed[tenant]
            each.steps.keep(folders)
        except Exception as failure:
            failed[tenant] = each.failure = failure
        else:
            each.failure = None
            kept.append(each)
    return kept


def _end(db: Inside, kept: Collection[Storing]) -> None:
    """Delete the bytes of these files. It need not be on the disk yet."""

    def end(inside: Inside) -> None:
        for each in kept:
            each.steps.end(inside)

    in_transaction(db, end, on_disk=False)
