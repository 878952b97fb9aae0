"""Which import of a tenant runs next, and which are superseded: order.py decides, this module does it.

Before a decision, headers are read to find correction files, and files are hashed that have checksums. Only the place
of a waiting import is in memory (`Waiting`), however many wait; each is read completely when it runs or ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from importer.errors import FileError, TryAgain
from importer.file.reader import CsvReader
from importer.file.records import MAX_ROW
from importer.queue.checksum import Verdict, waiting
from importer.queue.entry import Waiting
from importer.queue.order import WAITS, next_turn, superseded
from importer.queue.pause import Pause, of_pause, waits_by
from importer.queue.queue import Queue
from importer.rules.settings import ImportSettings
from importer.worker.attempt import TENANT_BROKEN, Starter, no_space_yet
from importer.worker.closing import Closing

log = logging.getLogger(__name__)

PIECE = 16 * 1024
"""The number of bytes read at a time; most headers are in the first piece."""


class Turns:
    """The turns of all tenants. It has no state: a queue may have several."""

    def __init__(self, queue: Queue, closing: Closing, starter: Starter) -> None:
        self._queue = queue
        self._closing = closing
        self._starter = starter

    async def due(self, tenant: str) -> Waiting | None:
        """Return the import of `tenant` that is due, if none runs; supersede those that will never run.

        None while the tenant is broken or nothing can be stored. Neither stops another tenant.
        """
        soundness, message = self._starter.soundness, TENANT_BROKEN
        if not soundness.why(tenant) and (no_space := self._starter.why_not_stored(tenant)):
            message = no_space_yet(no_space)
        elif not soundness.why(tenant):
            try:
                return await self._due(tenant)
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
        with suppress(TryAgain):  # the disk may be too full for this message, too
            await self._say_why(tenant, message)
        return None

    async def give_way(self, tenant: str) -> None:
        """Supersede the imports that a newer file replaces, even while another import of the tenant runs.

        Call it when a file has arrived. Raises the error that prevents it; the next turn then does it.
        """
        queued = await self._queue.queued(tenant)
        if len(queued) < 2:
            return
        settings = await self._starter.settings_of(tenant)
        if settings.deactivate_missing:
            looked_at = [await self._looked_at(each, settings) for each in queued]
            await self._remember(queued, looked_at)
            pause = self._starter.pause_now(settings)
            await self._supersede(superseded(looked_at, complete_lists=True, pause=pause))

    async def _due(self, tenant: str) -> Waiting | None:
        now = self._starter.clock().timestamp()
        candidates = await self._queue.queued_or_held(tenant)
        queued = [each for each in candidates if not each.held]
        if not any(WAITS.over(each.not_before, now) for each in queued):
            return None
        settings = await self._settings(tenant)
        folders = await self._starter.checksums.folders(tenant)
        before, alone = candidates, len(queued) == 1
        candidates = [each if each.held else await self._peeked(each, settings, folders) for each in candidates]
        if not alone:
            await self._remember(before, candidates)
        due = await self._first(candidates, settings, folders, now)
        await self._say_paused(queued, self._starter.pause_now(settings))
        if alone and due is None:  # else `claim` writes it
            await self._remember(before, candidates)
        return due

    async def _first(
        self, candidates: Sequence[Waiting], settings: ImportSettings, folders: Collection[bool], now: float
    ) -> Waiting | None:
        pause = self._starter.pause_now(settings)
        while True:
            turn = next_turn(candidates, complete_lists=settings.deactivate_missing, now=now, pause=pause)
            await self._supersede(turn.superseded)
            if not turn.run or not await self._waits_for_checksum(turn.run, settings, folders):
                return turn.run
            if not turn.run.dry_run:
                return None  # those behind it wait too
            # A waiting dry run blocks no other.
            decided = {turn.run.id, *(old.id for old, _ in turn.superseded)}
            candidates = [each for each in candidates if each.id not in decided]

    async def _supersede(self, pairs: Sequence[tuple[Waiting, Waiting]]) -> None:
        for old, newer in pairs:
            entry = await self._queue.get(*old.key)
            if entry:
                await self._closing.supersede(entry, newer)

    async def _say_paused(self, queued: Sequence[Waiting], pause: Pause | None) -> None:
        """Write into the imports that wait because of `pause` that they do, and into no others."""
        for each in queued:
            message = pause.message if pause and waits_by(pause, each) else None
            if each.message != message and (message or of_pause(each.message)):
                entry = await self._queue.get(*each.key)
                if entry:
                    await self._queue.say(entry, message)
                    await self._queue.moved(entry)  # open pages show it

    async def _say_why(self, tenant: str, message: str) -> None:
        queued = await self._queue.queued(tenant)
        entry = await self._queue.get(*queued[0].key) if queued else None
        if entry:
            await self._queue.say(entry, message)

    async def _waits_for_checksum(self, due: Waiting, settings: ImportSettings, folders: Collection[bool]) -> bool:
        """Return whether `due` has to wait for its checksum, and write that into its message."""
        compared = settings.require_checksum or due.dry_run in folders
        entry = None if due.undo or not compared else await self._queue.get(*due.key)
        if entry is None:
            return False
        verdict = (await self._starter.compare(entry, settings)).verdict
        if verdict is Verdict.WAITS:
            until = self._starter.checksums.waits.until(entry, self._starter.clock())
            await self._queue.say(entry, waiting(until))
        return verdict is Verdict.WAITS

    async def _peeked(self, queued: Waiting, settings: ImportSettings, folders: Collection[bool]) -> Waiting:
        """Return `queued` with its `correction` set, and its hash stored if there are checksums to compare.

        `folders` are those that have checksums. If one is required, the wait is counted from here.
        """
        if queued.undo or queued.trial:  # supersedes no import, whether a correction or not
            return queued
        looked_at = await self._looked_at(queued, settings)
        if looked_at.correction is None:
            return queued
        checksums = self._starter.checksums
        if settings.require_checksum:
            checksums.waits.left(looked_at, self._starter.clock())
        elif looked_at.dry_run not in folders:
            return looked_at
        if looked_at.hashed:
            return looked_at
        return await checksums.hashed(looked_at, await self._starter.copy(*queued.key))

    async def _remember(self, before: Sequence[Waiting], looked_at: Sequence[Waiting]) -> None:
        """Store which of `looked_at` are corrections, if that was not known `before`."""
        for old, new in zip(before, looked_at, strict=True):
            if new.correction is not old.correction:
                await self._queue.set_correction(new)

    async def _looked_at(self, queued: Waiting, settings: ImportSettings) -> Waiting:
        """Return `queued` with its `correction` set, if its copy can be read."""
        if queued.undo or queued.trial or queued.correction is not None:
            return queued
        try:
            async with self._starter.beginning(*queued.key, MAX_ROW) as file:
                correction = await is_correction(file, settings)
        except OSError as error:
            if await self._starter.soundness.look(queued.tenant, error):
                raise
            return queued  # the attempt will report the error
        return replace(queued, correction=correction)

    async def _settings(self, tenant: str) -> ImportSettings:
        """Return the settings.

        If they cannot be read, the defaults: no import is superseded, and the one that runs reports it.
        """
        try:
            return await self._starter.settings_of(tenant)
        except Exception as error:
            if await self._starter.soundness.look(tenant, error):
                raise
            log.error(
                "Settings of %s cannot be read (%s); its imports are not superseded.",
                *(tenant, error),
                exc_info=None if isinstance(error, TryAgain) else error,
                extra={"event": "settings_unreadable", "tenant": tenant},
            )
            return ImportSettings()


async def is_correction(file: Path, settings: ImportSettings) -> bool:
    """Return whether `file` is a correction file. False if its header cannot be read as one. Raises OSError."""
    return await asyncio.to_thread(_is_correction, file, settings)


def _is_correction(file: Path, settings: ImportSettings) -> bool:
    with file.open("rb") as opened:
        try:
            with closing(CsvReader(_beginning(opened), **settings.form)) as reader:
                return reader.header.is_correction
        except FileError:
            return False


def _beginning(opened: BinaryIO) -> Iterator[bytes]:
    """Yield the part of a file that may contain the header, as far as it is asked for."""
    for _ in range(0, MAX_ROW, PIECE):
        yield opened.read(PIECE)
