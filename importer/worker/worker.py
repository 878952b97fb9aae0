"""The loop that runs imports: find the next one, claim it, run it, close it; two at a time, one of each tenant.

turns.py finds the next import of a tenant, attempt.py runs one start of it, and closing.py writes its end. This
module takes the oldest of all tenants. Where servers share a queue, each does so, and one of them gets the import. No
end is lost: one that cannot be written now is written later, at the latest when this server has gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ground.moments import Clock
from importer.errors import TryAgain
from importer.model import Outcome
from importer.queue.entry import Entry, Waiting
from importer.queue.order import WAITS
from importer.queue.queue import Queue
from importer.worker.attempt import Later, Starter
from importer.worker.closing import Closing
from importer.worker.turns import Turns

log = logging.getLogger(__name__)

AT_ONCE = 2
LOOK_S = 0.5
"""The longest time in which a change by another process stays unseen."""

FIRST = 100
"""The number of queued imports among which the next one mostly is."""

PROGRESS_S = 1.0


@dataclass(slots=True)
class _Running:
    """An import that runs.

    `fraction` of it is done, 0 to 1; `written` is the fraction in the queue, since `written_at`.

    An import that ends before PROGRESS_S writes none. `ended_at` is the moment of its own end, after `took_s`
    seconds: later work on it does not count.
    """

    entry: Entry
    clock: Clock
    fraction: float = 0.0
    written: float = 0.0
    written_at: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)
    took_s: float = 0.0
    ended_at: datetime | None = None

    def advance(self, fraction: float) -> None:
        self.fraction = fraction

    def end(self) -> None:
        if self.ended_at is None:
            self.ended_at, self.took_s = self.clock(), time.monotonic() - self.began


class Worker:
    """Runs the queued imports between `start()` and `stop()`."""

    def __init__(
        self, queue: Queue, closing: Closing, starter: Starter, leads: Callable[[], bool] = lambda: True
    ) -> None:
        """`leads` returns whether this server writes the reports that other servers could not write."""
        self._leads = leads
        self._queue = queue
        self._closing = closing
        self._starter = starter
        self._turns = Turns(queue, closing, starter)
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._requeued: dict[tuple[str, int], int] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._ending = False
        self._stopping = asyncio.Event()

    def start(self) -> None:
        self._loop = asyncio.create_task(self._look_again_and_again(), name="import worker")

    @property
    def alive(self) -> bool:
        """Whether the worker looks for imports."""
        return self._loop is not None and not self._loop.done() and not self._ending

    @property
    def running(self) -> set[tuple[str, int]]:
        """The imports that this worker runs, or still has to end."""
        return {running.entry.key for running in self._running.values()}

    @property
    def progress(self) -> dict[tuple[str, int], float]:
        """How far the running imports are, 0 to 1."""
        return {running.entry.key: running.fraction for running in self._running.values()}

    async def stop(self, grace_s: float) -> None:
        """Start no more imports; let running ones end within `grace_s`, then roll them back: they stay queued."""
        self._ending = True
        self._queue.changed.set()
        if self._loop:
            await asyncio.wait([self._loop])
        if self._running:
            await asyncio.wait([*self._running], timeout=grace_s)
        self._stopping.set()
        if self._running:
            await asyncio.wait([*self._running])
        if self._starter.advising:
            await self._starter.advising.stop()
        if self._publishing:
            await asyncio.wait([*self._publishing])

    def hurry(self) -> None:
        """Stop waiting: roll back the running imports now."""
        self._stopping.set()
        for task in self._running:
            task.cancel()

    # Looking and claiming

    @property
    def _may_start(self) -> bool:
        return len(self._running) < AT_ONCE and not self._ending

    async def _look_again_and_again(self) -> None:
        while not self._ending:
            try:
                await self._look()
            except TryAgain as error:
                if not error.told:
                    facts = {"event": "queue_waits"}
                    log.warning("The import queue waits (%s); retrying.", error.in_full, extra=facts)
            except Exception:
                log.exception("The search for imports to run failed; retrying.", extra={"event": "worker_fault"})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._queue.changed.wait(), LOOK_S)

    async def _look(self) -> None:
        self._queue.changed.clear()
        await self._write_progress()
        while self._may_start and (entry := await self._claim()):
            running = _Running(entry, self._closing.clock)
            task = asyncio.create_task(self._import(running), name=f"import {entry.id} of {entry.tenant}")
            self._running[task] = running
            task.add_done_callback(self._ended)
        if self._leads():
            await self._closing.catch_up()

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._running.pop(task)
        self._queue.changed.set()
        if not task.cancelled() and (error := task.exception()):
            entry = running.entry
            log.error(
                "Import %d of %s could not be ended; the next start of the server ends it.",
                *(entry.id, entry.tenant),
                exc_info=error,
                extra={"event": "import_left", "tenant": entry.tenant, "import_id": entry.id},
            )

    async def _claim(self) -> Entry | None:
        """Start the import that is due, the oldest of all tenants; supersede those that it replaces.

        If another server has just started it, the next tenant's is started.
        """
        heads, are_all = await self._queue.first_heads(FIRST)
        entry = await self._claimed(heads)
        if entry is None and not are_all and self._may_start:  # the first of the queue all have to wait
            entry = await self._claimed(await self._queue.heads())
        return entry

    async def _claimed(self, heads: Sequence[tuple[str, int]]) -> Entry | None:
        lost = set[str]()
        while first := await self._first((tenant, oldest) for tenant, oldest in heads if tenant not in lost):
            entry = await self._queue.claim(*first.key, correction=first.correction)
            if entry is not None or not self._may_start:
                return entry
            lost.add(first.tenant)
        return None

    async def _first(self, heads: Iterable[tuple[str, int]]) -> Waiting | None:
        first: Waiting | None = None
        for tenant, oldest in heads:
            if first and first.sequence < oldest:
                break
            due = await self._turns.due(tenant)
            if due and (first is None or due.sequence < first.sequence):
                first = due
        return first

    async def _write_progress(self) -> None:
        now = time.monotonic()
        for running in [*self._running.values()]:
            if running.fraction != running.written and now - running.written_at >= PROGRESS_S:
                running.written, running.written_at = running.fraction, now
                await self._queue.progress(*running.entry.key, running.fraction)

    # Running and ending

    async def _import(self, running: _Running) -> None:
        entry = running.entry
        end = await self._starter.attempt(
            entry, progress=running.advance, stopping=self._stopping.is_set, ended=running.end
        )
        running.end()
        advice = self._starter.advising.under_way(entry) if self._starter.advising else None
        failures = 0
        while not await self._closed(running, end):
            failures += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WAITS.after(failures))
                return  # the next start finds it
        if advice and isinstance(end, Outcome):
            publishing = asyncio.create_task(self._advised(entry, advice), name=f"publishing advice on {entry.id}")
            self._publishing.add(publishing)
            publishing.add_done_callback(self._publishing.discard)

    async def _advised(self, entry: Entry, advice: asyncio.Task[None]) -> None:
        """Write the report again when there is advice that the end of the import did not wait for."""
        await asyncio.wait([advice])
        with suppress(TryAgain):  # the next write of the report has it
            await self._closing.advised(entry)

    async def _closed(self, running: _Running, end: Outcome | Later) -> bool:
        entry = running.entry
        try:
            await self._close(running, end)
        except TryAgain as error:
            if not error.told:
                log.warning(
                    "The end of import %d of %s cannot be written (%s); retrying.",
                    *(entry.id, entry.tenant, error.in_full),
                    extra={"event": "end_owed", "tenant": entry.tenant, "import_id": entry.id},
                )
            return False
        return True

    async def _close(self, running: _Running, end: Outcome | Later) -> None:
        entry = running.entry
        if isinstance(end, Outcome):
            await self._closing.finish(entry, end, running.took_s, at=running.ended_at)
            self._requeued.pop(entry.key, None)
        elif not await self._queue.still_runs(entry):
            # Another server has it; or its tenant was removed, and an import with this id belongs to a new one.
            self._requeued.pop(entry.key, None)
        elif end.message is None or end.broken:
            await self._queue.requeue(*entry.key, message=end.message, claim=entry.claim)
        else:
            times = self._requeued.get(entry.key, 0) + 1
            not_before = self._starter.clock().timestamp() + WAITS.after(times)
            await self._queue.requeue(*entry.key, message=end.message, not_before=not_before, claim=entry.claim)
            self._requeued[entry.key] = times
