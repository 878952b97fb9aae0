"""What happens when `sync_users.csv` lands: the upload becomes an import in the queue.

`/sync_users.csv` and `/test/sync_users.csv` are two of these hooks; the second one's imports are dry runs. The
check-sum of each has a hook of its own.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress

from importer.errors import Refused, TryAgain
from importer.folder import FolderOf
from importer.model import ImportState
from importer.queue.checksum import CHECKSUM_NAME, MAX_CHECKSUM_BYTES, NoChecksum, checksum_in
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.worker.closing import Closing
from server.files.hooks import Arrival, HookRefused, Upload
from server.hooks.waiting import Line

log = logging.getLogger(__name__)


class _Records:
    """What becomes of an upload that is no import: a record of it, or a line in the log."""

    def __init__(self, queue: Queue, closing: Closing, folder_of: FolderOf, *, dry_run: bool) -> None:
        self._queue = queue
        self._closing = closing
        self._folder_of = folder_of
        self._dry_run = dry_run

    async def aborted(self, upload: Upload, reason: str) -> None:
        """The upload broke off: listed, with how many bytes came."""
        await self._never_ran(upload, ImportState.ABORTED, reason)

    async def ignored(self, upload: Upload, reason: str) -> None:
        """The upload had a name that is only near ours: listed, with what is wrong about it."""
        await self._never_ran(upload, ImportState.IGNORED, reason)

    async def _promise(self, upload: Upload) -> int:
        return await self._queue.arriving(
            upload.tenant,
            upload.path,
            size=upload.size,
            written=upload.written,
            uploaded_at=upload.uploaded_at,
            dry_run=self._dry_run,
        )

    async def _never_ran(self, upload: Upload, state: ImportState, reason: str, *, refused: bool = False) -> None:
        """Nobody waits for this record: if it can't be made, the log has to do."""
        try:
            import_id = await self._promise(upload)
        except (Refused, TryAgain) as error:
            self._unrecorded(upload, state, error)
        else:
            await self._end(upload, import_id, state, reason, refused=refused)

    async def _end(
        self, upload: Upload, import_id: int, state: ImportState, reason: str, *, refused: bool = False
    ) -> None:
        """A record that can't be ended now is ended as aborted at the next start."""
        entry = await self._queue.get(upload.tenant, import_id)
        if entry is None:
            return
        try:
            sentence = f"The file was not taken: {reason}." if refused else _sentence(entry, state, reason)
            await self._closing.end_upload(entry, state, sentence)
        except TryAgain as error:
            self._unrecorded(upload, state, error)

    def _unrecorded(self, upload: Upload, state: ImportState, error: Exception) -> None:
        log.warning(
            "An upload of %s that was %s could not be recorded: %s.",
            *(upload.tenant, state.value, error),
            extra={"event": "upload_unrecorded", "tenant": upload.tenant, "state": state.value},
        )


class ImportHook(_Records):
    """A `server.files.hooks.Hook` that queues imports."""

    def __init__(self, queue: Queue, closing: Closing, folder_of: FolderOf, line: Line, *, dry_run: bool) -> None:
        super().__init__(queue, closing, folder_of, dry_run=dry_run)
        self._line = line

    async def arriving(self, upload: Upload) -> Arrival:
        """Give the import its number. Durable when it returns; raises HookRefused.

        One that is refused because too many wait is listed: nothing else would tell of it later.
        """
        try:
            await self._line.admit(upload.tenant, dry_run=self._dry_run)
        except Refused as refusal:
            await self._never_ran(upload, ImportState.ABORTED, refusal.message, refused=True)
            raise HookRefused(f"the file was not taken: {refusal.message}") from refusal
        except TryAgain as error:
            raise HookRefused(f"the import can't be queued now: {error.message}") from error
        try:
            import_id = await self._promise(upload)
        except (Refused, TryAgain) as error:
            raise HookRefused(f"the import can't be queued now: {error.message}") from error
        folder = self._folder_of(upload.tenant)
        folder.uploads.mkdir(mode=0o700, exist_ok=True)
        return Arrival(import_id, folder.copy(import_id))

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Queue the import, and supersede what it replaces. Durable when it returns.

        Raises TryAgain or Refused: nothing is queued.
        """
        if await self._queue.landed(upload.tenant, arrival.id):
            await self._line.give_way(upload.tenant)
        log.info(
            "Import %d of %s is queued.",
            *(arrival.id, upload.tenant),
            extra={
                "event": "import_queued",
                "tenant": upload.tenant,
                "import_id": arrival.id,
                "dry_run": self._dry_run,
                "origin": upload.origin,
                "size": upload.size,
            },
        )

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """The file could not be published: an aborted upload that has its number already."""
        await self._end(upload, arrival.id, ImportState.ABORTED, reason)


class ChecksumHook(_Records):
    """A `server.files.hooks.Hook` that remembers check-sums: no import by themselves."""

    async def arriving(self, upload: Upload) -> Arrival:
        """Raises HookRefused for what is too large to be a check-sum."""
        if upload.size > MAX_CHECKSUM_BYTES:
            raise HookRefused(f"{CHECKSUM_NAME} is one line, not {upload.size} bytes")
        folder = self._folder_of(upload.tenant)
        folder.uploads.mkdir(mode=0o700, exist_ok=True)
        return Arrival(0, folder.uploads / f"{uuid.uuid4().hex}.sha256")

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Remember the check-sum. Durable when it returns; raises HookRefused, TryAgain: nothing is remembered."""
        try:
            sha256 = checksum_in(await asyncio.to_thread(arrival.copy.read_bytes))
        except NoChecksum as error:
            raise HookRefused(str(error)) from error
        await self._queue.checksum_landed(upload.tenant, sha256, dry_run=self._dry_run)
        with suppress(OSError):  # else the next start removes it
            arrival.copy.unlink()
        log.info(
            "A check-sum of %s landed.",
            upload.tenant,
            extra={"event": "checksum_landed", "tenant": upload.tenant, "dry_run": self._dry_run},
        )

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """It could not be published, or is none: listed, for the client may not show what it was answered."""
        await self.aborted(upload, reason)


def _sentence(entry: Entry, state: ImportState, reason: str) -> str:
    """What the report says. What was sent under a near name is where it was put; what broke off is gone."""
    if state is ImportState.IGNORED:
        return reason
    if entry.file.name == CHECKSUM_NAME:
        return f"The check-sum was not taken: {reason}. Send it again."
    return (
        f"The upload broke off after {entry.file.size} bytes ({reason}); nothing was imported. Send the file again."
    )
