"""End a run: first /results, then its state, then the files that are no longer needed.

In this order a reader of a final state finds its results, and after a crash in between the same steps are repeated. A
report that cannot be written (disk full) delays no run: it is written later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol
from weakref import WeakValueDictionary

from engine.runs import Run, RunStore
from ground.moments import Clock, utc_now
from importer.archive import LOCAL, Archive
from importer.folder import FolderOf, TenantFolder
from importer.model import ImportState
from importer.queue.notices import Notice
from importer.queue.queue import NotEnded
from importer.worker.closing import Store
from importer.worker.put_off import PutOff
from importer.worker.results_folder import LOCAL_RESULTS, Results, ResultsFolder
from server.runs import results
from server.runs.ends import End
from server.runs.turns import WaitOf, Waits, after, never_ran

log = logging.getLogger(__name__)

Watcher = Callable[[Run], None]
"""Is called at each end of a run, to count it. Raises nothing."""


class RunHerald(Protocol):
    """Writes the notices of a run's end."""

    async def notices_of_run(self, run: Run) -> list[Notice]:
        """Return the notices to send when `run` has ended, or became no run."""


class Ending:
    """Ends runs. Every method raises TryAgain if the store cannot be written; then the state is as before."""

    def __init__(
        self,
        store: RunStore,
        folder_of: FolderOf,
        watcher: Watcher,
        clock: Clock = utc_now,
        herald: RunHerald | None = None,
        wait: WaitOf | None = None,
        archive: Archive = LOCAL,
        results: Results = LOCAL_RESULTS,
    ) -> None:
        self._store = store
        self._folder_of = folder_of
        self._watcher = watcher
        self._clock = clock
        self._herald = herald
        self._wait_of = wait
        self._archive = archive
        self._results = results
        self._put_off = PutOff()
        # A report is in /results before the store says so: until then another end must not remove it as unknown.
        # `RunStore.holding` does the same for the ends of other servers.
        self._publishing: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def end_upload(self, run: Run, state: ImportState, message: str, *, error: str | None = None) -> None:
        """End an arriving upload that became no run: `aborted` or `ignored`. `error` is for the operator only."""
        async with self._lock(run):
            ended = never_ran(run, state, message, error, self._clock())
            await self._end(ended, partial(self._store.end_upload, ended, notices=await self._notices(ended)))

    async def finish(self, run: Run, end: End) -> None:
        """Store what follows the attempt of a running `run` that ended so: its end, or the wait for the next one.

        If its tenant was removed while it ran, nothing is written.
        """
        next_ = after(run, end, self._clock(), self._wait_of)
        if isinstance(next_, Waits):
            await self._wait(run, next_)
            return
        async with self._lock(run):
            if not await self._still_runs(run):
                return
            await self._end(next_, partial(self._store.finish, next_, notices=await self._notices(next_)))

    async def catch_up(self) -> None:
        """Write the reports that could not be written.

        One that still cannot be written is retried later, logged at level debug only. A tenant of which none can be
        written is put off.
        """
        now = self._clock().timestamp()
        failed: set[str] = set()
        written: set[str] = set()
        for run in await self._store.unpublished(without=self._put_off.waiting(now)):
            (written if await self._caught_up(run) else failed).add(run.tenant)
        self._put_off.tried(failed, written, self._clock().timestamp())

    async def _caught_up(self, run: Run) -> bool:
        async with self._lock(run):
            async with self._store.holding(run.tenant):
                if not await self._publish(run, logging.DEBUG):
                    return False
                await self._store.published(run)
            if run.state is not ImportState.FAILED:  # a rerun may have begun, and reports again
                await self._clear(run, published=True)
        return True

    async def _end(self, ended: Run, store: Store) -> None:
        """Write the report of an end, and the end, if the run was still to be ended."""
        with suppress(NotEnded):
            async with self._store.holding(ended.tenant):
                published = await self._publish(ended)
                if not await store(published=published):
                    raise NotEnded
            await self._over(ended, published)

    def _lock(self, run: Run) -> asyncio.Lock:
        return self._publishing.setdefault((run.tenant, run.hook), asyncio.Lock())

    async def _still_runs(self, run: Run) -> bool:
        now = await self._store.get(*run.key)
        return now is not None and now.state is ImportState.RUNNING and _start(now) == _start(run)

    async def _wait(self, run: Run, waits: Waits) -> None:
        requeued = await self._store.requeue(
            run, message=waits.message, error=waits.error, not_before=waits.not_before, counted=waits.counted
        )
        if requeued and waits.counted:
            log.warning(
                "Attempt %d of run %d of %s for %s failed; retrying.",
                *(run.attempts, run.id, run.hook, run.tenant),
                extra={"event": "run_waits", **_facts(run), "attempt": run.attempts},
            )

    async def _notices(self, run: Run) -> list[Notice]:
        return await self._herald.notices_of_run(run) if self._herald else []

    async def _publish(self, run: Run, level: int = logging.WARNING) -> bool:
        """Write the report of `run` to /results, unless it is too old to be kept there.

        False if it cannot be written now.
        """
        newest = await self._store.newest_published(run.tenant, run.hook, results.KEPT)
        kept = sorted({*newest, run.id}, reverse=True)[: results.KEPT]
        try:
            folder = self._folder_of(run.tenant)
            await self._results.change(folder, partial(_publish, folder, run, kept))
        except OSError as error:
            log.log(
                level,
                "The report of run %d of %s for %s cannot be written (%s); retrying.",
                *(run.id, run.hook, run.tenant, error.strerror),
                extra={"event": "run_report_owed", **_facts(run)},
            )
            return False
        return True

    async def _over(self, run: Run, published: bool) -> None:
        await self._clear(run, published=published)
        log.info(
            "Run %d of %s for %s is %s.",
            *(run.id, run.hook, run.tenant, run.state.words),
            extra={"event": "run_ended", **_facts(run), "state": run.state.value},
        )
        self._watcher(run)

    async def _clear(self, run: Run, *, published: bool) -> None:
        """Remove the copy of a run unless it failed: `hook rerun` needs it. Reports owed to /results stay."""
        folder, copy = self._folder_of(run.tenant), run.state is not ImportState.FAILED
        await results.clear(self._archive, folder, run.id, copy=copy, reports=published)


def _publish(folder: TenantFolder, run: Run, kept: list[int], opened: ResultsFolder) -> None:
    if run.id in kept:
        results.publish(opened, folder, run)
    results.prune(opened, run.hook, kept)


def _start(run: Run) -> tuple[int, int]:
    return run.sequence, run.claim


def _facts(run: Run) -> dict[str, object]:
    return {"hook": run.hook, "tenant": run.tenant, "run_id": run.id}
