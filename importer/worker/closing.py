"""How an import ends: /results first, then its state, then the copies nobody needs any more.

In that order, so that whoever sees a final state finds its results, and a crash in between leaves something that is
simply done again. A report that can't be written (disk full) holds up no import: it stays owed, and is written later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ground.moments import Clock, utc_now
from importer.advice.kept import report_of
from importer.folder import FolderOf, TenantFolder
from importer.model import NEVER_RAN, WAITING, ImportState, Outcome
from importer.queue.entry import Entry, Waiting
from importer.queue.notices import Herald, Nobody
from importer.queue.queue import Queue
from importer.worker import results

log = logging.getLogger(__name__)

FAILED_KEPT = 10
"""The copy of a failed import is removed when so many more have failed."""


class Watcher(Protocol):
    """Somebody who is told of ends, to count them."""

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """`entry` has come to an end, is held, or became no import; it ran for `duration_s` if it ran."""


class Watchers:
    """Several watchers as one, told in this order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        for watcher in self._watchers:
            await watcher.ended(entry, duration_s)


class Closing:
    """Ends imports. Every method raises TryAgain when headcount.db can't be written; then the state is as before."""

    def __init__(
        self,
        queue: Queue,
        folder_of: FolderOf,
        watcher: Watcher,
        clock: Clock = utc_now,
        herald: Herald | None = None,
    ) -> None:
        self._queue = queue
        self._folder_of = folder_of
        # A report is in /results before the queue says so: meanwhile another end must not remove it as unknown.
        self._ending = asyncio.Lock()
        self._watcher = watcher
        self.clock = clock
        self._herald = herald or Nobody()

    async def finish(
        self, entry: Entry, outcome: Outcome, duration_s: float | None = None, *, at: datetime | None = None
    ) -> None:
        """A running import, or its undo, ended with `outcome`, at the moment `at` if not now.

        Of one that is forgotten, as its tenant was removed while it ran, nothing is left.
        """
        async with self._ending:
            if not await self._queue.still_runs(entry):
                return
            ended = entry.ended(outcome, at or self.clock())
            not_undone = entry.undo is not None and ended.state is not ImportState.UNDONE
            notices = () if not_undone else await self._herald.notices_of(ended)
            if not await self._queue.finish(ended, published=await self._publish(ended), notices=notices):
                return
            if not_undone:
                log.warning(
                    "Import %d of %s could not be undone.",
                    *(entry.id, entry.tenant),
                    extra={"event": "undo_failed", "tenant": entry.tenant, "import_id": entry.id},
                )
            else:
                await self._over(ended, None if entry.undo else duration_s)

    async def supersede(self, entry: Entry, newer: Entry | Waiting) -> None:
        """A waiting or held import gives way to `newer`, unless somebody decided otherwise meanwhile."""
        async with self._ending:
            ended = entry.superseded(newer, self.clock())
            if await self._queue.supersede(ended, published=await self._publish(ended)):
                await self._over(ended)

    async def end_upload(self, entry: Entry, state: ImportState, message: str) -> None:
        """An upload that was arriving became no import."""
        async with self._ending:
            ended = entry.never_ran(state, message, self.clock())
            notices = await self._herald.notices_of(ended)
            if await self._queue.end_upload(ended, published=await self._publish(ended), notices=notices):
                await self._over(ended)

    async def catch_up(self) -> None:
        """Write the reports that are behind: of decisions taken by other processes, and those owed.

        One that still can't be written stays owed, without another word.
        """
        async with self._ending:
            for entry in await self._queue.unpublished():
                if await self._publish(entry, logging.DEBUG):
                    await self._queue.published(entry)
                    if entry.state is ImportState.DISCARDED:
                        await self._over(entry)

    async def advised(self, entry: Entry) -> None:
        """There is advice on the file of an import that has ended by now: its report has it, and the page is told."""
        async with self._ending:
            now = await self._queue.get(*entry.key)
            if now is not None and now.state not in WAITING:
                await self._publish(now, logging.DEBUG)
                await self._queue.moved(now)

    async def _publish(self, entry: Entry, level: int = logging.WARNING) -> bool:
        """Make /results show `entry`, unless it is too old for that. False if it can't be done now."""
        newest = await self._queue.newest_published(entry.tenant, results.KEPT)
        kept = sorted({*newest[entry.dry_run], entry.id}, reverse=True)[: results.KEPT]
        folder, others = self._folder_of(entry.tenant), newest[not entry.dry_run]
        try:
            await asyncio.to_thread(_publish, folder, entry if entry.id in kept else None, {*kept, *others})
        except OSError as error:
            log.log(
                level,
                "The report of import %d of %s can't be written yet: %s.",
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
        if not copy_is_needed(entry):
            _remove(folder.copy(entry.id))
        if entry.state is ImportState.FAILED:
            old = await self._queue.failed_before(entry.tenant, FAILED_KEPT)
            if old is not None:
                _remove(folder.copy(old))


def _publish(folder: TenantFolder, entry: Entry | None, kept: Collection[int]) -> None:
    """Write the report of `entry`, and remove those that are not `kept`. Raises OSError."""
    if entry is not None:
        results.publish(folder, report_of(folder, entry))
    results.prune(folder, kept)


def _remove(copy: Path) -> None:
    """What cannot be removed now is removed by a later start."""
    with suppress(OSError):
        copy.unlink()


def copy_is_needed(entry: Entry) -> bool:
    """Whether the uploaded file of this import is still wanted, as far as its own state tells."""
    if entry.dry_run and entry.finished_at:
        return False
    return entry.state not in NEVER_RAN | {ImportState.SUPERSEDED, ImportState.DISCARDED}
