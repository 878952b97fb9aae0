"""End an import: first /results, then its state, then the copies that are no longer needed.

In this order a reader of a final state finds its results, and after a crash in between the same steps are repeated. A
report that cannot be written (disk full) delays no import: it is written later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Collection
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from ground.moments import Clock, utc_now
from importer.advice.kept import report_in
from importer.archive import LOCAL, Archive
from importer.errors import TryAgain
from importer.folder import FolderOf, TenantFolder
from importer.model import NEVER_RAN, WAITING, ImportState, Outcome
from importer.queue.entry import Entry, Waiting
from importer.queue.notices import Herald, NoNotices
from importer.queue.queue import NotEnded, Queue
from importer.worker import results
from importer.worker.put_off import PutOff
from importer.worker.results_folder import LOCAL_RESULTS, Results, ResultsFolder

log = logging.getLogger(__name__)

FAILED_KEPT = 10
"""The copy of a failed import is removed after this many more imports of the tenant failed."""


class Store(Protocol):
    """Writes an end. Returns whether the import was still to be ended."""

    def __call__(self, *, published: bool) -> Awaitable[bool]: ...


class Watcher(Protocol):
    """Is called at each end of an import, to count it."""

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """`entry` has reached a final state, is held, or became no import.

        It ran for `duration_s`; None if it did not run.
        """


class Copies(Protocol):
    """Keeps copies of imports that have ended and need them no longer."""

    async def keep(self, entry: Entry) -> bool:
        """Return whether the copy of `entry`, which has just ended, stays; the keeper then deletes it later."""


class NoCopies:
    """A `Copies` that keeps none."""

    async def keep(self, entry: Entry) -> bool:
        return False


class Watchers:
    """Several watchers as one, called in this order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        for watcher in self._watchers:
            await watcher.ended(entry, duration_s)


class Closing:
    """Ends imports. Every method raises TryAgain if headcount.db cannot be written; then the state is as before."""

    def __init__(
        self,
        queue: Queue,
        folder_of: FolderOf,
        watcher: Watcher,
        clock: Clock = utc_now,
        herald: Herald | None = None,
        copies: Copies | None = None,
        archive: Archive = LOCAL,
        results: Results = LOCAL_RESULTS,
    ) -> None:
        self._queue = queue
        self._folder_of = folder_of
        # A report is in /results before the queue says so: until then another end must not remove it as unknown.
        # `Queue.holding` does the same for the ends of other servers.
        self._ending = asyncio.Lock()
        self._watcher = watcher
        self.clock = clock
        self._herald = herald or NoNotices()
        self._copies = copies or NoCopies()
        self._archive = archive
        self._results = results
        self._put_off = PutOff()

    async def finish(
        self, entry: Entry, outcome: Outcome, duration_s: float | None = None, *, at: datetime | None = None
    ) -> None:
        """End a running import, or its undo, with `outcome`, at the moment `at` or now.

        If its tenant was removed while it ran, nothing is written.
        """
        async with self._ending:
            if not await self._queue.still_runs(entry):
                return
            ended = entry.ended(outcome, at or self.clock())
            not_undone = entry.undo is not None and ended.state is not ImportState.UNDONE
            notices = () if not_undone else await self._herald.notices_of(ended)
            if not await self._stored(ended, partial(self._queue.finish, ended, notices=notices)):
                return
            if not_undone:
                log.warning(
                    "The undo of import %d of %s failed.",
                    *(entry.id, entry.tenant),
                    extra={"event": "undo_failed", "tenant": entry.tenant, "import_id": entry.id},
                )
            else:
                await self._over(ended, None if entry.undo else duration_s)

    async def supersede(self, entry: Entry, newer: Entry | Waiting) -> None:
        """Let `newer` replace a queued or held import, unless its state changed meanwhile."""
        async with self._ending:
            ended = entry.superseded(newer, self.clock())
            if await self._stored(ended, partial(self._queue.supersede, ended)):
                await self._over(ended)

    async def end_upload(self, entry: Entry, state: ImportState, message: str) -> None:
        """End an arriving upload that became no import."""
        async with self._ending:
            ended = entry.never_ran(state, message, self.clock())
            notices = await self._herald.notices_of(ended)
            if await self._stored(ended, partial(self._queue.end_upload, ended, notices=notices)):
                await self._over(ended)

    async def catch_up(self) -> None:
        """Write the reports that are behind: of decisions by other processes, and those that could not be written.

        A report that still cannot be written is retried later, logged at level debug only. A tenant of which none can
        be written is put off.
        """
        now = self.clock().timestamp()
        failed: set[str] = set()
        written: set[str] = set()
        async with self._ending:
            for entry in await self._queue.unpublished(without=self._put_off.waiting(now)):
                (written if await self._caught_up(entry) else failed).add(entry.tenant)
        self._put_off.tried(failed, written, self.clock().timestamp())

    async def _caught_up(self, entry: Entry) -> bool:
        async with self._queue.holding(entry.tenant):
            if not await self._publish(entry, logging.DEBUG):
                return False
            await self._queue.published(entry)
        if entry.state is ImportState.DISCARDED:
            await self._over(entry)
        return True

    async def advised(self, entry: Entry) -> None:
        """Write the report of an ended import again, with the advice on its file.

        Marks the import as changed, so that its page reads it again.
        """
        async with self._ending, self._queue.holding(entry.tenant):
            now = await self._queue.get(*entry.key)
            if now is not None and now.state not in WAITING:
                await self._publish(now, logging.DEBUG)
                await self._queue.moved(now)

    async def _stored(self, ended: Entry, store: Store) -> bool:
        """Write the report of an end, and the end; return whether the import was still to be ended."""
        with suppress(NotEnded):
            async with self._queue.holding(ended.tenant):
                if not await store(published=await self._publish(ended)):
                    raise NotEnded
            return True
        return False

    async def _publish(self, entry: Entry, level: int = logging.WARNING) -> bool:
        """Write the report of `entry` to /results, unless it is too old to be kept there.

        False if it cannot be written now.
        """
        newest = await self._queue.newest_published(entry.tenant, results.KEPT)
        kept = sorted({*newest[entry.dry_run], entry.id}, reverse=True)[: results.KEPT]
        folder, others = self._folder_of(entry.tenant), newest[not entry.dry_run]
        written = entry if entry.id in kept else None
        try:
            if written:
                await self._archive.fetch(folder, folder.advice(entry.id), folder.errors(entry.id))
            await self._results.change(folder, partial(_publish, folder, written, {*kept, *others}))
        except OSError as error:
            log.log(
                level,
                "The report of import %d of %s cannot be written (%s); retrying.",
                *(entry.id, entry.tenant, error.strerror),
                extra={"event": "report_owed", "tenant": entry.tenant, "import_id": entry.id},
            )
            return False
        return True

    async def _over(self, entry: Entry, duration_s: float | None = None) -> None:
        await self._drop_copies(entry)
        log.info(
            "Import %d of %s is %s.",
            *(entry.id, entry.tenant, entry.state.words),
            extra={
                "event": "import_ended",
                "tenant": entry.tenant,
                "import_id": entry.id,
                "state": entry.state.value,
                "dry_run": entry.dry_run,
            },
        )
        await self._watcher.ended(entry, duration_s)

    async def _drop_copies(self, entry: Entry) -> None:
        folder = self._folder_of(entry.tenant)
        if not copy_is_needed(entry) and not await self._copies.keep(entry):
            await self._remove(folder, folder.copy(entry.id))
        if entry.state is ImportState.FAILED:
            old = await self._queue.failed_before(entry.tenant, FAILED_KEPT)
            if old is not None:
                await self._remove(folder, folder.copy(old))

    async def _remove(self, folder: TenantFolder, copy: Path) -> None:
        """Remove a copy; one that cannot be removed now is removed by a later start."""
        with suppress(OSError, TryAgain):
            await self._archive.drop(folder, copy)


def _publish(folder: TenantFolder, entry: Entry | None, kept: Collection[int], opened: ResultsFolder) -> None:
    """Write the report of `entry`, and remove those that are not `kept`. Raises OSError."""
    if entry is not None:
        results.publish(opened, folder, report_in(folder, entry))
    results.prune(opened, kept)


def copy_is_needed(entry: Entry) -> bool:
    """Return whether this import, judged by its own state, still needs the uploaded file."""
    if entry.dry_run and entry.finished_at:
        return False
    return entry.state not in NEVER_RAN | {ImportState.SUPERSEDED, ImportState.DISCARDED}
