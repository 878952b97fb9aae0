"""The loop that runs hooks: find the first run of each hook of each tenant, claim it, run it, end it.

The runs of one hook and one tenant follow each other; those of others run beside them. turns.py decides what follows
an attempt, and ending.py writes it. This module loses no end: an end that cannot be written now is written later, at
the latest by the next start of the server. A stop cancels only the delivery itself, so it runs no hook again that has
ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.runs import Run, RunStore
from ground.moments import Clock, rfc3339, utc_now
from importer.archive import LOCAL, Archive
from importer.errors import TryAgain
from importer.folder import FolderOf, TenantFolder
from importer.queue.order import WAITS
from server.rounds import Leads, set_within
from server.runs.attempts import attempt_of, ended_or_stopped, prepare
from server.runs.ending import Ending
from server.runs.ends import Again, End, Failed, Stopped
from server.runs.registry import Runnable
from server.runs.rush import Rushes
from server.runs.turns import is_due, seconds_to_next, while_stopping
from server.trouble import tell

log = logging.getLogger(__name__)

AT_ONCE = 8
"""The most runs of one hook at once, each of another tenant. A hook that hangs delays no other hook."""
LOOK_S = 0.5
"""The longest time in which a change by another process stays unseen."""
RUSH_LOOK_S = 0.1
"""The longest time between two looks while runs wait for the end of a rush. Its own files cause none."""
LATER_S = 10.0
"""The wait for a tenant or file that cannot be read now."""
STOP_FOLLOWS_S = 1.0
"""The time in which a stop of the server may follow a signal that ended a hook."""

MISSING = "The copy of the file is missing, so the hook cannot read it. Send the file again."
NOT_RUN = "The hook could not be run. Tell the operator: the log has the cause."
NOT_WRITTEN = "The end of this run could not be stored. Tell the operator: the log has the cause."
NO_HOOK = "The file waits, because the server does not have its hook now. Tell the operator."
NEVER_HOOK = "The file was never processed: the server does not have its hook. Tell the operator, then send it again."

RunnableOf = Callable[[str], Runnable | None]
"""Return the hook of this name; None if the server has none that can run."""
SettingsOf = Callable[[str, str], Awaitable[dict[str, Any]]]
"""Return a tenant's values for a hook, as JSON: (tenant, hook). Raises an exception if they cannot be read now."""
DaysOf = Callable[[str], Awaitable[int]]
"""Return the `retention_days` of a tenant. Raises an exception if they cannot be read now."""
WhyNot = Callable[[str], str | None]
"""Return why the runs of a tenant wait now, such as a full disk; None if they do not."""


@dataclass(slots=True, eq=False)
class _Running:
    run: Run
    delivery: asyncio.Task[End] | None = None

    @property
    def line(self) -> tuple[str, str]:
        return self.run.tenant, self.run.hook


class Runner:
    """Runs the queued runs between `start()` and `stop()`."""

    def __init__(
        self,
        store: RunStore,
        ending: Ending,
        folder_of: FolderOf,
        runnable_of: RunnableOf,
        settings_of: SettingsOf,
        days_of: DaysOf,
        why_not: WhyNot = lambda tenant: None,
        clock: Clock = utc_now,
        archive: Archive = LOCAL,
        leads: Leads = lambda: True,
    ) -> None:
        self._leads = leads
        self._store = store
        self._ending = ending
        self._folder_of = folder_of
        self._runnable_of = runnable_of
        self._settings_of = settings_of
        self._days_of = days_of
        self._why_not = why_not
        self._clock = clock
        self._archive = archive
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._put_off: dict[tuple[str, str], float] = {}
        self._missing: set[str] = set()
        self._rushes = Rushes()
        self._at_once = asyncio.Event()
        """Set by what lets another run begin during a rush: the end of a run, and a file of another tenant."""
        self._caught_up_at = 0.0
        self._loop: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._stopping = asyncio.Event()

    def start(self) -> None:
        self._loop = asyncio.create_task(self._look_again_and_again(), name="hook runner")

    def landed(self, tenant: str) -> None:
        """Count a file of a tenant that landed: while it sends many, its runs wait."""
        if not self._rushes.landed(tenant, time.monotonic()):
            self._at_once.set()

    @property
    def alive(self) -> bool:
        """Whether the runner looks for runs."""
        return self._loop is not None and not self._loop.done() and not self._closing.is_set()

    @property
    def running(self) -> set[tuple[str, int]]:
        """The runs that this runner runs, or still has to end."""
        return {running.run.key for running in self._running.values()}

    async def stop(self, grace_s: float) -> None:
        """Start no more runs; let running ones end within `grace_s`, then end their hooks: they stay queued."""
        self._closing.set()
        self._at_once.set()
        self._store.changed.set()
        if self._loop:
            await asyncio.wait([self._loop])
        if self._running:
            await asyncio.wait([*self._running], timeout=grace_s)
        self.hurry()
        if self._running:
            await asyncio.wait([*self._running])

    def hurry(self) -> None:
        """Stop waiting: end the running hooks now."""
        self._stopping.set()
        for running in self._running.values():
            if running.delivery:
                running.delivery.cancel()

    # Looking

    async def _look_again_and_again(self) -> None:
        while not self._closing.is_set():
            wait_s = LOOK_S
            try:
                wait_s = await self._look()
            except TryAgain as error:
                if not error.told:
                    facts = {"event": "runs_wait"}
                    log.warning("The runs of hooks wait (%s); retrying.", error.in_full, extra=facts)
            except Exception:
                log.exception("The search for runs of hooks failed; retrying.", extra={"event": "runner_fault"})
            if self._rushes.held(time.monotonic()):
                await set_within(self._at_once, min(wait_s, RUSH_LOOK_S))
            else:
                await set_within(self._store.changed, wait_s)

    async def _look(self) -> float:
        """Start what is due; return the seconds until the next look."""
        self._at_once.clear()
        self._store.changed.clear()
        heads = await self._store.heads()
        now = self._clock().timestamp()
        busy = Counter(running.run.hook for running in self._running.values())
        lines = {running.line for running in self._running.values()}
        rushing = self._rushes.held(time.monotonic())
        # Runs that failed before come last: they may hang, and others of their hook should not wait for them.
        for run in sorted(heads, key=lambda each: (each.attempts, each.sequence)):
            waits = run.tenant in rushing or (run.tenant, run.hook) in lines or busy[run.hook] >= AT_ONCE
            if waits or not self._may_begin(run):
                continue
            missing = self._runnable_of(run.hook) is None
            if missing or is_due(run, now):
                busy[run.hook] += 1
                self._begin(run, self._without_hook if missing else self._run)
        if time.monotonic() - self._caught_up_at >= LOOK_S:
            self._caught_up_at = time.monotonic()
            if self._leads():
                await self._ending.catch_up()
        next_s = seconds_to_next(heads, now)
        return LOOK_S if next_s is None else min(LOOK_S, max(next_s, 0.0))

    def _may_begin(self, run: Run) -> bool:
        put_off = self._put_off.get((run.tenant, run.hook), 0.0) > time.monotonic()
        return not self._closing.is_set() and not put_off and self._why_not(run.tenant) is None

    def _tell_missing(self, hook: str) -> None:
        if hook not in self._missing:
            self._missing.add(hook)
            log.warning(
                "Runs of the hook %s wait, because the server does not have it now.",
                hook,
                extra={"event": "hook_missing", "hook": hook},
            )

    def _begin(self, run: Run, work: Callable[[_Running], Coroutine[None, None, None]]) -> None:
        running = _Running(run)
        task = asyncio.create_task(work(running), name=f"run {run.id} of {run.hook} for {run.tenant}")
        self._running[task] = running
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._running.pop(task)
        self._at_once.set()
        self._store.changed.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._put_off[running.line] = time.monotonic() + LATER_S
            tell(
                log,
                f"Run {running.run.id} of {running.run.hook} for {running.run.tenant} waits",
                error,
                {"event": "run_left", **_facts(running.run)},
                then="retrying",
            )

    # Running and ending

    async def _without_hook(self, running: _Running) -> None:
        """Say why a run waits that no hook can run; end it when it is as old as its file may become."""
        run = running.run
        self._tell_missing(run.hook)
        if run.message != NO_HOOK:
            await self._store.explain(run.tenant, run.hook, NO_HOOK)
        oldest = self._clock() - timedelta(days=await self._days_of(run.tenant))
        if run.uploaded_at >= rfc3339(oldest):
            self._put_off[running.line] = time.monotonic() + LATER_S
        elif claimed := await self._store.claim(*run.key, sha256=run.sha256):
            running.run = claimed
            await self._close(claimed, Failed(NEVER_HOOK, "the server does not have the hook"))

    async def _run(self, running: _Running) -> None:
        waiting = running.run
        if waiting.message == NO_HOOK:
            await self._store.explain(waiting.tenant, waiting.hook, None)
        runnable = self._runnable_of(waiting.hook)
        assert runnable is not None
        settings = await self._settings_of(waiting.tenant, waiting.hook)
        folder = self._folder_of(waiting.tenant)
        async with self._archive.held(folder, folder.run_copy(waiting.id)):
            await self._ran(running, runnable, settings, folder)

    async def _ran(
        self, running: _Running, runnable: Runnable, settings: dict[str, Any], folder: TenantFolder
    ) -> None:
        """Claim a run whose copy is at its path, run it and end it."""
        waiting = running.run
        prepared = await self._prepared(folder, waiting)
        run = await self._store.claim(*waiting.key, sha256=prepared[0] if prepared else waiting.sha256)
        if run is None:
            return
        running.run = run
        if prepared is None:
            await self._close(run, Failed(MISSING, "the copy of the file is missing"))
        else:
            await self._close(run, await self._counted(await self._deliver(running, runnable, settings, prepared[1])))

    async def _prepared(self, folder: TenantFolder, run: Run) -> tuple[str, Path] | None:
        """Return what `prepare` does; None if the copy alone is missing.

        Raises OSError and TryAgain: then nothing is known about the copy.
        """
        try:
            return await asyncio.to_thread(prepare, folder, run)
        except FileNotFoundError:
            if await self._archive.lacks(folder, folder.run_copy(run.id)):
                return None
            raise

    async def _deliver(self, running: _Running, runnable: Runnable, settings: dict[str, Any], reports: Path) -> End:
        run = running.run
        if self._stopping.is_set():
            return Stopped()
        attempt = attempt_of(run, settings, self._folder_of(run.tenant).run_copy(run.id), reports)
        running.delivery = delivery = asyncio.create_task(runnable.deliver(attempt), name=f"delivery {run.id}")
        await ended_or_stopped(delivery, self._stopping)
        if not delivery.done() or delivery.cancelled():
            return Stopped()
        if error := delivery.exception():
            self._met_fault(run, error)
            return Again(NOT_RUN, type(error).__name__)
        return delivery.result()

    async def _counted(self, end: End) -> End:
        """Return the end as it counts. A stop may send its signal to all processes, and to the server last."""
        if isinstance(end, Again) and end.by_signal:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), STOP_FOLLOWS_S)
        return while_stopping(end) if self._closing.is_set() else end

    async def _close(self, run: Run, end: End) -> None:
        """Write the end; while it cannot be written, retry until the server stops: the next start finds the run.

        An end that meets an internal error is replaced by a failure without what the hook said.
        """
        failures = 0
        while True:
            try:
                await self._ending.finish(run, end)
                return
            except TryAgain as error:
                if not error.told:
                    log.warning(
                        "The end of run %d of %s for %s cannot be written (%s); retrying.",
                        *(run.id, run.hook, run.tenant, error.in_full),
                        extra={"event": "run_end_owed", **_facts(run)},
                    )
            except Exception as error:
                self._met_fault(run, error)
                end = Failed(NOT_WRITTEN, type(error).__name__)
            failures += 1
            if await set_within(self._stopping, WAITS.after(failures)):
                return

    def _met_fault(self, run: Run, error: BaseException) -> None:
        log.error(
            "Run %d of %s for %s met an internal error.",
            *(run.id, run.hook, run.tenant),
            exc_info=error,
            extra={"event": "run_fault", **_facts(run)},
        )


def _facts(run: Run) -> dict[str, object]:
    return {"hook": run.hook, "tenant": run.tenant, "run_id": run.id}
