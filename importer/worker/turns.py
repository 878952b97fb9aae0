"""Whose turn it is among the imports of one tenant, and which give way: what order.py decides is asked for and done.

Before it decides, headers are read for corrections, and files hashed that check-sums are compared with. Of what waits
only its place is in memory (`Waiting`), however many imports that are; each is read whole when it runs or ends.
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
from importer.queue.queue import Queue
from importer.rules.settings import ImportSettings
from importer.worker.attempt import TENANT_BROKEN, Starter, no_room_yet
from importer.worker.closing import Closing

log = logging.getLogger(__name__)

PIECE = 16 * 1024
"""Most headers are in the first so many bytes of a file."""


class Turns:
    """The turns of all tenants. It remembers nothing: there may be several of one queue."""

    def __init__(self, queue: Queue, closing: Closing, starter: Starter) -> None:
        self._queue = queue
        self._closing = closing
        self._starter = starter

    async def due(self, tenant: str) -> Waiting | None:
        """Return the import of `tenant` that is due, if none runs; those that never will give way.

        None while the tenant is broken, or nothing can be stored. Neither stops another tenant.
        """
        soundness, message = self._starter.soundness, TENANT_BROKEN
        if not soundness.why(tenant) and (no_room := self._starter.why_not_stored(tenant)):
            message = no_room_yet(no_room)
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
        with suppress(TryAgain):  # there may be no room for these words either
            await self._say_why(tenant, message)
        return None

    async def give_way(self, tenant: str) -> None:
        """Supersede what a newer list replaces, now and though another import of the tenant may run.

        To be called when a file has landed. Raises what keeps it from being done: then the next turn does it.
        """
        queued = await self._queue.queued(tenant)
        if len(queued) < 2:
            return
        settings = await self._starter.settings_of(tenant)
        if settings.deactivate_missing:
            looked_at = [await self._looked_at(each, settings) for each in queued]
            await self._remember(queued, looked_at)
            await self._supersede(superseded(looked_at, whole_lists=True))

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
        if alone and due is None:  # else it is written as the import starts
            await self._remember(before, candidates)
        return due

    async def _first(
        self, candidates: Sequence[Waiting], settings: ImportSettings, folders: Collection[bool], now: float
    ) -> Waiting | None:
        while True:
            turn = next_turn(candidates, whole_lists=settings.deactivate_missing, now=now)
            await self._supersede(turn.superseded)
            if not turn.run or not await self._waits_for_checksum(turn.run, settings, folders):
                return turn.run
            if not turn.run.dry_run:
                return None  # those behind it wait with it
            # Nobody waits for a dry run that waits.
            gone = {turn.run.id, *(old.id for old, _ in turn.superseded)}
            candidates = [each for each in candidates if each.id not in gone]

    async def _supersede(self, pairs: Sequence[tuple[Waiting, Waiting]]) -> None:
        for old, newer in pairs:
            entry = await self._queue.get(*old.key)
            if entry:
                await self._closing.supersede(entry, newer)

    async def _say_why(self, tenant: str, message: str) -> None:
        queued = await self._queue.queued(tenant)
        entry = await self._queue.get(*queued[0].key) if queued else None
        if entry:
            await self._queue.say(entry, message)

    async def _waits_for_checksum(self, due: Waiting, settings: ImportSettings, folders: Collection[bool]) -> bool:
        """Whether `due` has to wait for its check-sum; it says so."""
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
        """`queued`, of which it is known whether it is a correction, and what there is to compare with check-sums.

        `folders` are those that have check-sums. Where one is required, its wait is counted from here.
        """
        if queued.undo or queued.trial:  # its file was looked at before; it takes nobody's place, whatever it is
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
        return await checksums.hashed(looked_at, self._starter.folder_of(queued.tenant).copy(queued.id))

    async def _remember(self, before: Sequence[Waiting], looked_at: Sequence[Waiting]) -> None:
        """Write down which of `looked_at` are corrections, where that was not known `before`."""
        for old, new in zip(before, looked_at, strict=True):
            if new.correction is not old.correction:
                await self._queue.set_correction(new)

    async def _looked_at(self, queued: Waiting, settings: ImportSettings) -> Waiting:
        """`queued`, of which it is known whether it is a correction, if its copy can be read."""
        if queued.undo or queued.trial or queued.correction is not None:
            return queued
        try:
            correction = await is_correction(self._starter.folder_of(queued.tenant).copy(queued.id), settings)
        except OSError as error:
            if await self._starter.soundness.look(queued.tenant, error):
                raise
            return queued  # the attempt will say what is wrong with the copy
        return replace(queued, correction=correction)

    async def _settings(self, tenant: str) -> ImportSettings:
        """With settings nobody can read, no import gives way to another; the one that runs will say so."""
        try:
            return await self._starter.settings_of(tenant)
        except Exception as error:
            if await self._starter.soundness.look(tenant, error):
                raise
            log.error(
                "The settings of %s cannot be read: %s.",
                *(tenant, error),
                exc_info=None if isinstance(error, TryAgain) else error,
                extra={"event": "settings_unreadable", "tenant": tenant},
            )
            return ImportSettings()


async def is_correction(file: Path, settings: ImportSettings) -> bool:
    """Whether `file` is an errors.csv sent back. A file whose header makes no sense is none. Raises OSError."""
    return await asyncio.to_thread(_is_correction, file, settings)


def _is_correction(file: Path, settings: ImportSettings) -> bool:
    with file.open("rb") as opened:
        try:
            with closing(CsvReader(_beginning(opened), **settings.form)) as reader:
                return reader.header.is_correction
        except FileError:
            return False


def _beginning(opened: BinaryIO) -> Iterator[bytes]:
    """What a header may be in, as far as it is asked for."""
    for _ in range(0, MAX_ROW, PIECE):
        yield opened.read(PIECE)
