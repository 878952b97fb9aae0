"""The loop that runs imports: look what waits, claim, run, close; two at a time in all, one of a tenant.

What one start comes to is found out in attempt.py; here it is decided what runs when, and that nothing is forgotten:
an end that can't be written now is written later, by the next start at the latest.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiofiles

from importer.errors import FileError, TryAgain
from importer.file.reader import CsvReader
from importer.file.records import MAX_ROW
from importer.model import ImportState, Outcome
from importer.queue.checksum import Verdict, waiting
from importer.queue.entry import Entry
from importer.queue.order import WAITS, next_turn
from importer.queue.queue import Queue
from importer.rules.settings import ImportSettings
from importer.worker.attempt import TENANT_BROKEN, Later, Starter, no_room_yet
from importer.worker.closing import Closing

log = logging.getLogger(__name__)

AT_ONCE = 2
LOOK_S = 0.5
"""How long something that another process did can stay unseen."""

PROGRESS_S = 1.0


@dataclass(slots=True)
class _Running:
    """An import under way. `fraction` of it is done, 0 to 1; `written` of it is in the queue, since `written_at`."""

    entry: Entry
    fraction: float = 0.0
    written: float = 0.0
    written_at: float = 0.0

    def advance(self, fraction: float) -> None:
        self.fraction = fraction


class Worker:
    """Runs what the queue holds between `start()` and `stop()`."""

    def __init__(self, queue: Queue, closing: Closing, starter: Starter) -> None:
        self._queue = queue
        self._closing = closing
        self._starter = starter
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._put_back: dict[tuple[str, int], int] = {}
        self._loop: asyncio.Task[None] | None = None
        self._ending = False
        self._stopping = asyncio.Event()

    def start(self) -> None:
        self._loop = asyncio.create_task(self._look_again_and_again(), name="import worker")

    @property
    def alive(self) -> bool:
        """Whether imports are being looked for."""
        return self._loop is not None and not self._loop.done() and not self._ending

    @property
    def progress(self) -> dict[tuple[str, int], float]:
        """How far the imports that run now are, 0 to 1."""
        return {running.entry.key: running.fraction for running in self._running.values()}

    async def stop(self, grace_s: float) -> None:
        """Start nothing more; let what runs end within `grace_s`, then roll it back: it stays queued."""
        self._ending = True
        self._queue.changed.set()
        if self._loop:
            await asyncio.wait([self._loop])
        if self._running:
            await asyncio.wait([*self._running], timeout=grace_s)
        self._stopping.set()
        if self._running:
            await asyncio.wait([*self._running])

    def hurry(self) -> None:
        """Wait for nothing any more: what runs is rolled back now."""
        self._stopping.set()
        for task in self._running:
            task.cancel()

    # Looking and claiming

    async def _look_again_and_again(self) -> None:
        while not self._ending:
            try:
                await self._look()
            except TryAgain as error:
                log.warning("The queue has to wait: %s.", error.message, extra={"event": "queue_waits"})
            except Exception:
                log.exception("Looking for imports failed; trying again.", extra={"event": "worker_fault"})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._queue.changed.wait(), LOOK_S)

    async def _look(self) -> None:
        self._queue.changed.clear()
        await self._write_progress()
        while len(self._running) < AT_ONCE and not self._ending and (entry := await self._claim()):
            running = _Running(entry)
            task = asyncio.create_task(self._import(running), name=f"import {entry.id} of {entry.tenant}")
            self._running[task] = running
            task.add_done_callback(self._ended)
        await self._closing.catch_up()

    def _ended(self, task: asyncio.Task[None]) -> None:
        running = self._running.pop(task)
        self._queue.changed.set()
        if not task.cancelled() and (error := task.exception()):
            entry = running.entry
            log.error(
                "Import %d of %s is left as it is until the next start.",
                *(entry.id, entry.tenant),
                exc_info=error,
                extra={"event": "import_left", "tenant": entry.tenant, "import_id": entry.id},
            )

    async def _claim(self) -> Entry | None:
        """Start the import whose turn it is, oldest first over all tenants; others give way to it."""
        waiting = await self._queue.waiting()
        busy = {entry.tenant for entry in waiting if entry.state is ImportState.RUNNING}
        queued: dict[str, list[Entry]] = {}
        for entry in waiting:
            if entry.state is ImportState.QUEUED and entry.tenant not in busy:
                queued.setdefault(entry.tenant, []).append(entry)
        first: Entry | None = None
        for tenant, entries in queued.items():  # in the order of their oldest
            if first and first.sequence < entries[0].sequence:
                break
            entry_due = await self._turn_if_sound(tenant, entries)
            if entry_due and (first is None or entry_due.sequence < first.sequence):
                first = entry_due
        return await self._queue.claim(*first.key) if first else None

    async def _turn_if_sound(self, tenant: str, queued: list[Entry]) -> Entry | None:
        """Return the import of `tenant` that is due; None while the tenant is broken, or nothing can be stored.

        Neither stops another tenant.
        """
        soundness, message = self._starter.soundness, TENANT_BROKEN
        if not soundness.why(tenant) and (no_room := self._starter.why_not_stored(tenant)):
            message = no_room_yet(no_room)
        elif not soundness.why(tenant):
            try:
                return await self._turn(tenant, queued)
            except TryAgain:
                raise
            except Exception as error:
                if not await soundness.look(tenant, error):
                    log.exception(
                        "Imports of %s cannot be started; retrying.",
                        *(tenant,),
                        extra={"event": "worker_fault", "tenant": tenant},
                    )
                    return None
        with suppress(TryAgain):  # there may be no room for these words either
            await self._queue.say(queued[0], message)
        return None

    async def _turn(self, tenant: str, queued: list[Entry]) -> Entry | None:
        """The import of `tenant` that is due; those that will never run give way."""
        now = self._starter.clock().timestamp()
        if not any(WAITS.over(entry.not_before, now) for entry in queued):
            return None
        settings = await self._settings(tenant)
        peeked = [await self._peeked(entry, settings) for entry in queued]
        held = await self._queue.held(tenant)
        candidates = [*peeked, *held]
        while True:
            turn = next_turn(candidates, whole_lists=settings.deactivate_missing, now=now)
            for old, newer in turn.superseded:
                await self._closing.supersede(old, newer)
            if not turn.run or not await self._waits_for_checksum(turn.run, settings):
                return turn.run
            if not turn.run.dry_run:
                return None  # those behind it wait with it
            # Nobody waits for a dry run that waits.
            gone = {turn.run.id, *(old.id for old, _ in turn.superseded)}
            candidates = [entry for entry in candidates if entry.id not in gone]

    async def _waits_for_checksum(self, entry: Entry, settings: ImportSettings) -> bool:
        """Whether `entry` has to wait for its check-sum; it says so."""
        if entry.undo:
            return False
        compared = await self._starter.compare(entry, settings)
        if compared.verdict is Verdict.WAITS:
            until = self._starter.checksums.waits.until(entry, self._starter.clock())
            await self._queue.say(entry, waiting(until))
        return compared.verdict is Verdict.WAITS

    async def _peeked(self, entry: Entry, settings: ImportSettings) -> Entry:
        """`entry`, of which it is known whether it is a correction, and what there is to compare with check-sums."""
        if entry.undo or entry.trial:  # its file was looked at before; it takes nobody's place, whatever it is
            return entry
        copy = self._starter.folder_of(entry.tenant).copy(entry.id)
        if entry.correction is None:
            try:
                correction = await is_correction(copy, settings)
            except OSError as error:
                if await self._starter.soundness.look(entry.tenant, error):
                    raise
                return entry  # the attempt will say what is wrong with the copy
            entry = await self._queue.set_correction(entry, correction)
        required, now = settings.require_checksum, self._starter.clock()
        return await self._starter.checksums.hashed(entry, copy, required=required, now=now)

    async def _settings(self, tenant: str) -> ImportSettings:
        """With settings nobody can read, no import gives way to another; the one that runs will say so."""
        try:
            return await self._starter.settings_of(tenant)
        except Exception as error:
            if await self._starter.soundness.look(tenant, error):
                raise
            log.exception(
                "The settings of %s can't be read.", tenant, extra={"event": "settings_unreadable", "tenant": tenant}
            )
            return ImportSettings()

    async def _write_progress(self) -> None:
        now = time.monotonic()
        for running in [*self._running.values()]:
            if running.fraction != running.written and now - running.written_at >= PROGRESS_S:
                running.written, running.written_at = running.fraction, now
                await self._queue.progress(*running.entry.key, running.fraction)

    # Running and ending

    async def _import(self, running: _Running) -> None:
        entry, began = running.entry, time.monotonic()
        end = await self._starter.attempt(entry, progress=running.advance, stopping=self._stopping.is_set)
        failures = 0
        while not await self._closed(entry, end, time.monotonic() - began):
            failures += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), WAITS.after(failures))
                return  # the next start finds it

    async def _closed(self, entry: Entry, end: Outcome | Later, duration_s: float) -> bool:
        try:
            await self._close(entry, end, duration_s)
        except TryAgain as error:
            log.warning(
                "The end of import %d of %s can't be written yet: %s.",
                *(entry.id, entry.tenant, error.message),
                extra={"event": "end_owed", "tenant": entry.tenant, "import_id": entry.id},
            )
            return False
        return True

    async def _close(self, entry: Entry, end: Outcome | Later, duration_s: float) -> None:
        if isinstance(end, Outcome):
            await self._closing.finish(entry, end, duration_s)
            self._put_back.pop(entry.key, None)
        elif end.message is None or end.broken:
            await self._queue.put_back(*entry.key, message=end.message)
        else:
            times = self._put_back.get(entry.key, 0) + 1
            not_before = self._starter.clock().timestamp() + WAITS.after(times)
            await self._queue.put_back(*entry.key, message=end.message, not_before=not_before)
            self._put_back[entry.key] = times


async def is_correction(file: Path, settings: ImportSettings) -> bool:
    """Whether `file` is an errors.csv sent back. A file whose header makes no sense is none. Raises OSError."""
    try:
        async with aiofiles.open(file, "rb") as opened:
            beginning = await opened.read(MAX_ROW)
        return CsvReader([beginning], **settings.form).header.is_correction
    except FileError:
        return False
