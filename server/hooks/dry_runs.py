"""Dry runs from the page and the API: of a file, or of other settings on the newest file.

They are processed as uploads are (docs/architecture.md, One file, one row), with one difference: no file appears in
the tenant's folder. The file is on disk before the import has a row, and is copied under the row's id before it is
queued. Whatever is interrupted before leaves nothing. They use no checksum and supersede no import.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import unicodedata
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

from ground.files import link
from ground.moments import utc_now
from ground.threads import finish
from importer.errors import Refused, TryAgain
from importer.folder import TenantFolder
from importer.model import ImportState, Written
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.requests import DryRunRequest, Sender
from importer.worker.closing import Closing
from server.files.base import WhyNotStored, never_refused
from server.files.files import Files
from server.files.paths import TEST, ClientPath
from server.files.reports import reason_of
from server.hooks.admission import refuse_if_full
from server.hooks.kept_files import files_to_test
from server.hooks.receiving import receive, refusing
from server.hooks.sendable_files import SendableFiles
from server.tenants.accounts import limits_of
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings, differences
from server.tenants.tenants import Tenants

log = logging.getLogger(__name__)

WAITING_MOST = 10
"""Once so many dry runs of a tenant wait or are being received, another one is refused."""

NAME_BYTES = 255
NO_NAME = "upload.csv"
NO_KEPT_FILE = (
    "These settings cannot be tested: no CSV file was imported yet, or it was deleted. "
    "Choose a file on the page “Send a file”, then test them again. A dry run changes no user."
)

Keep = Callable[[Path], Awaitable[object]]
"""Makes the copy that an import reads, at its path. It is durable on return."""

FilesOf = Callable[[str, Path], AbstractContextManager[Files]]
"""Returns the files of a tenant (by name and folder), with the quota that its SFTP sessions share."""


class DryRuns:
    """Queues dry runs from the page and the API. `queue` must be the one whose worker runs them."""

    def __init__(
        self,
        tenants: Tenants,
        queue: Queue,
        closing: Closing,
        files_of: FilesOf,
        why_not_stored: WhyNotStored = never_refused,
        sendable: SendableFiles | None = None,
    ) -> None:
        self._tenants = tenants
        self._queue = queue
        self._closing = closing
        self._files_of = files_of
        self._why_not_stored = why_not_stored
        self._sendable = sendable
        self._under_way: Counter[str] = Counter()

    async def of_file(
        self,
        tenant: str,
        name: str,
        chunks: AsyncIterable[bytes],
        by: str,
        *,
        sender: Sender | None = None,
        sha256: str | None = None,
    ) -> int:
        """Queue a dry run of the file in `chunks`; return its id. `name` is the name of the file at its sender.

        The file tested before is no longer kept to be sent.

        Raises TenantRefused, TryAgain, and Refused (`too_many_trials`, `too_many_waiting`, and those of `receive`).
        After these, or if `chunks` raises, nothing remains.
        """
        settings = await self._tenants.settings(tenant)
        folder, called = self._tenants.folder(tenant), tidy_name(name)
        async with self._place(tenant, settings):
            with self._files_of(tenant, folder.root) as files:
                limits = limits_of(settings)
                with refusing():
                    draft = await files.begin_apart(ClientPath((TEST, called.encode())), lambda: limits)
                try:
                    await receive(draft, chunks, settings, sha256)
                    with refusing():
                        await draft.flush()
                    trial = DryRunRequest(by)
                    import_id = await finish(self._land(tenant, draft.link, called, draft.size, trial, sender=sender))
                finally:
                    await files.discard(draft)
                await files.recount()
        if self._sendable:
            self._sendable.drop(tenant)
        return import_id

    async def of_settings(self, tenant: str, changes: Mapping[str, object], by: str) -> int:
        """Queue a dry run of the newest file with changed settings; return its id.

        `changes` are those of `Tenants.change_settings`. Raises TenantRefused if they are not valid, TryAgain, and
        Refused (`no_kept_file`, `too_many_trials`, `too_many_waiting`).
        """
        now = await self._tenants.settings(tenant)
        after = self._tenants.changed(now, changes)
        chosen = {name: new for name, (_, new) in differences(now, after).items()}
        folder = self._tenants.folder(tenant)
        async with self._place(tenant, now):
            staged = folder.staging / secrets.token_hex(16)
            try:
                tested = await self._take_newest(tenant, folder, staged)
                file, trial = tested.file, DryRunRequest(by, chosen, tested.id)

                def keep(copy: Path) -> Awaitable[None]:
                    return asyncio.to_thread(link, staged, copy)

                return await finish(self._land(tenant, keep, file.name, file.size, trial, tested.written))
            finally:
                staged.unlink(missing_ok=True)

    @asynccontextmanager
    async def _place(self, tenant: str, settings: TenantSettings) -> AsyncIterator[None]:
        """Hold a place for a dry run. Raises Refused if none is free, TryAgain if nothing can be stored."""
        why = self._why_not_stored(tenant)
        if why:
            raise TryAgain("disk_full", why)
        self._under_way[tenant] += 1
        try:
            queued, others = await self._queue.queued(tenant), self._under_way[tenant] - 1
            pause = pause_of(settings, utc_now())
            refuse_if_full(queued, settings, dry_run=True, pause=pause, trial=True, coming=others)
            if sum(each.dry_run for each in queued) + others >= WAITING_MOST:
                raise Refused(
                    "too_many_trials",
                    f"{WAITING_MOST} dry runs wait already, the most allowed. Try again when some have ended",
                )
            yield
        finally:
            self._under_way[tenant] -= 1
            self._under_way += Counter()  # drops tenants at zero

    async def _take_newest(self, tenant: str, folder: TenantFolder, staged: Path) -> Entry:
        """Link `staged` to the newest file that can test settings; return the entry of its import.

        Correction files and files that no settings can read are skipped. A tested file counts if no list is kept.
        Raises Refused (`no_kept_file`).
        """
        async for entry in files_to_test(self._queue, tenant, self._tenants.archive, folder):
            try:
                await self._tenants.archive.fetch(folder, folder.copy(entry.id))
                await asyncio.to_thread(os.link, folder.copy(entry.id), staged)
            except FileNotFoundError:  # deleted just now
                continue
            return entry
        raise Refused("no_kept_file", NO_KEPT_FILE)

    async def _land(
        self,
        tenant: str,
        keep: Keep,
        name: str,
        size: int,
        trial: DryRunRequest,
        written: Written | None = None,
        sender: Sender | None = None,
    ) -> int:
        """Queue the file that `keep` copies; return the id. `written` is known only for files that came over SFTP."""
        import_id = await self._queue.arriving(
            tenant,
            f"/test/{name}",
            size=size,
            written=written,
            uploaded_at=utc_now(),
            dry_run=True,
            trial=trial,
            sender=sender,
        )
        folder, archive = self._tenants.folder(tenant), self._tenants.archive
        copy = folder.copy(import_id)
        try:
            with refusing():
                await keep(copy)
                await archive.keep(folder, copy)
            await self._queue.landed(tenant, import_id)
        except Exception as error:
            with suppress(TryAgain):  # a start deletes it
                await archive.drop(folder, copy)
            await self._not_landed(tenant, import_id, error)
            raise
        facts = {"event": "import_queued", "tenant": tenant, "import_id": import_id, "dry_run": True, "size": size}
        log.info("Dry run %d of %s is queued.", import_id, tenant, extra=facts)
        return import_id

    async def _not_landed(self, tenant: str, import_id: int, error: Exception) -> None:
        """End the entry as aborted. If that cannot be written now, the next start does it."""
        try:
            entry = await self._queue.get(tenant, import_id)
            if entry:
                why = f"The dry run could not be queued: {reason_of(error)}. Start it again."
                await self._closing.end_upload(entry, ImportState.ABORTED, why)
        except TryAgain:
            log.warning(
                "A dry run of %s that could not be queued could not be recorded either.",
                tenant,
                extra={"event": "upload_unrecorded", "tenant": tenant, "state": ImportState.ABORTED.value},
            )


def tidy_name(name: str) -> str:
    """Return a file's name without folders and invisible characters, at most 255 bytes long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    seen = "".join(letter for letter in last if not unicodedata.category(letter).startswith("C")).strip()
    cut = seen.encode()[:NAME_BYTES].decode(errors="ignore")
    return cut if cut.strip(".") else NO_NAME
