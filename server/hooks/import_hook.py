"""The hooks of `sync_users.csv`: an upload becomes an import in the queue.

`/sync_users.csv` and `/test/sync_users.csv` have a hook each; imports of the second are dry runs. The checksum file
of each has its own hook.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from dataclasses import replace

from ground.afterwards import once_stored
from ground.words import counted
from importer.archive import LOCAL, Archive
from importer.errors import Refused, TryAgain
from importer.folder import FolderOf
from importer.model import ImportState
from importer.queue.checksum import CHECKSUM_NAME, MAX_CHECKSUM_BYTES, NoChecksum, checksum_in
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.worker.closing import Closing
from server.files.hooks import Arrival, HookRefused, Upload
from server.hooks.admission import Admission

log = logging.getLogger(__name__)


class _Records:
    """Records uploads that do not become imports. If that fails, the log has a line instead."""

    decide = None
    """Every file is accepted: what is wrong with it is told in the report."""
    land = None

    def __init__(self, queue: Queue, closing: Closing, folder_of: FolderOf, *, dry_run: bool) -> None:
        self._queue = queue
        self._closing = closing
        self._folder_of = folder_of
        self._dry_run = dry_run

    async def aborted(self, upload: Upload, reason: str) -> None:
        """List an interrupted upload, with the number of bytes received."""
        await self._never_ran(upload, ImportState.ABORTED, reason)

    async def ignored(self, upload: Upload, reason: str) -> None:
        """List an upload under a name similar to the hook's, with the fault of the name."""
        await self._never_ran(upload, ImportState.IGNORED, reason)

    async def _create(self, upload: Upload) -> int:
        return await self._queue.arriving(
            upload.tenant,
            upload.path,
            size=upload.size,
            written=upload.written,
            uploaded_at=upload.uploaded_at,
            dry_run=self._dry_run,
            sender=upload.sender,
        )

    async def _never_ran(self, upload: Upload, state: ImportState, reason: str, *, refused: bool = False) -> None:
        """Record an upload that never ran. Raises nothing: if the record cannot be made, it is logged."""
        sender = replace(upload.sender, tested=None) if upload.sender else None  # nothing was sent
        try:
            import_id = await self._create(replace(upload, sender=sender))
        except (Refused, TryAgain) as error:
            self._unrecorded(upload, state, error)
        else:
            await self._end(upload, import_id, state, reason, refused=refused)

    async def _end(
        self, upload: Upload, import_id: int, state: ImportState, reason: str, *, refused: bool = False
    ) -> None:
        """End the record, once it is on disk. If that fails now, the next start ends it as aborted.

        In a transaction of the upload, other changes of the tenant wait for it. The end of another import may be one
        of these, so the transaction must not wait for ends.
        """
        await once_stored(lambda: self._end_now(upload, import_id, state, reason, refused=refused))

    async def _end_now(
        self, upload: Upload, import_id: int, state: ImportState, reason: str, *, refused: bool
    ) -> None:
        entry = await self._queue.get(upload.tenant, import_id)
        if entry is None:
            return
        try:
            sentence = f"The file was refused: {reason}." if refused else _sentence(entry, state, reason)
            await self._closing.end_upload(entry, state, sentence)
        except TryAgain as error:
            self._unrecorded(upload, state, error)

    def _unrecorded(self, upload: Upload, state: ImportState, error: Exception) -> None:
        log.warning(
            "An %s upload of %s could not be recorded: %s.",
            *(state.value, upload.tenant, error),
            extra={"event": "upload_unrecorded", "tenant": upload.tenant, "state": state.value},
        )


class ImportHook(_Records):
    """A `server.files.hooks.Hook` that queues imports."""

    def __init__(
        self, queue: Queue, closing: Closing, folder_of: FolderOf, admission: Admission, *, dry_run: bool
    ) -> None:
        super().__init__(queue, closing, folder_of, dry_run=dry_run)
        self._admission = admission

    async def arriving(self, upload: Upload) -> Arrival:
        """Create the import in state `arriving`. It is durable on return. Raises HookRefused.

        An upload that is refused because too many imports wait is listed, since it leaves no other trace.
        """
        try:
            await self._admission.admit(upload.tenant, dry_run=self._dry_run)
        except Refused as refusal:
            await self._never_ran(upload, ImportState.ABORTED, refusal.message, refused=True)
            raise HookRefused(f"the file was refused: {refusal.message}") from refusal
        except TryAgain as error:
            raise HookRefused(_not_queued(error)) from error
        try:
            await self._admission.check_settings(upload.tenant, upload.sender)
            import_id = await self._create(upload)
        except (Refused, TryAgain) as error:
            raise HookRefused(_not_queued(error)) from error
        folder = self._folder_of(upload.tenant)
        folder.uploads.mkdir(mode=0o700, exist_ok=True)
        return Arrival(import_id, folder.copy(import_id))

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Queue the import and supersede the imports that it replaces. It is durable on return.

        Raises TryAgain or Refused if nothing was queued.
        """
        checksum = upload.sender.checksum if upload.sender else None
        if await self._queue.landed(upload.tenant, arrival.id, checksum=checksum):
            await once_stored(lambda: self._admission.give_way(upload.tenant))
        await once_stored(lambda: self._log_queued(upload, arrival))

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """End the import as aborted: the file could not be published."""
        await self._end(upload, arrival.id, ImportState.ABORTED, reason)

    def _log_queued(self, upload: Upload, arrival: Arrival) -> None:
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


class ChecksumHook(_Records):
    """A `server.files.hooks.Hook` that records checksums. A checksum file makes no import."""

    def __init__(
        self, queue: Queue, closing: Closing, folder_of: FolderOf, *, dry_run: bool, archive: Archive = LOCAL
    ) -> None:
        super().__init__(queue, closing, folder_of, dry_run=dry_run)
        self._archive = archive

    async def arriving(self, upload: Upload) -> Arrival:
        """Return where to copy the file. Raises HookRefused if it is too large for a checksum."""
        if upload.size > MAX_CHECKSUM_BYTES:
            size = f"at most {MAX_CHECKSUM_BYTES:,} bytes; this file has {upload.size:,} bytes"
            raise HookRefused(f"{CHECKSUM_NAME} must hold one line of {size}")
        folder = self._folder_of(upload.tenant)
        folder.uploads.mkdir(mode=0o700, exist_ok=True)
        return Arrival(0, folder.uploads / f"{uuid.uuid4().hex}.sha256")

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Record the checksum. It is durable on return. Raises HookRefused or TryAgain if nothing was recorded."""
        folder = self._folder_of(upload.tenant)
        try:
            await self._archive.fetch(folder, arrival.copy)
            sha256 = checksum_in(await asyncio.to_thread(arrival.copy.read_bytes))
        except NoChecksum as error:
            raise HookRefused(str(error)) from error
        await self._queue.checksum_landed(upload.tenant, sha256, dry_run=self._dry_run)
        with suppress(OSError, TryAgain):  # the next start removes it
            await self._archive.drop(folder, arrival.copy)
        facts = {"event": "checksum_landed", "tenant": upload.tenant, "dry_run": self._dry_run}
        await once_stored(lambda: log.info("Tenant %s sent a checksum.", upload.tenant, extra=facts))

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """List the upload: it could not be published or is not a checksum, and clients may hide the error."""
        await self.aborted(upload, reason)


def _sentence(entry: Entry, state: ImportState, reason: str) -> str:
    """Return the message of the report. A file under a similar name is kept; an interrupted one is deleted."""
    if state is ImportState.IGNORED:
        return reason
    if entry.file.name == CHECKSUM_NAME:
        return f"The checksum was not accepted: {reason}. Send it again."
    size = counted(entry.file.size, "byte", "bytes")
    return f"The upload was interrupted after {size} ({reason}); nothing was imported. Send it again."


def _not_queued(error: Refused | TryAgain) -> str:
    return f"the import cannot be queued now: {error.message}. Send the file again later"
