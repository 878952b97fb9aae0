"""Send a file over HTTP: it lands at `/sync_users.csv` as if it came over SFTP.

A file comes in the body of a request, or is the file of a dry run that its sender saw. Either way `server.files`
writes it into staging and lands it, under the same lock as an upload over SFTP. So a file that does not arrive
completely is discarded and listed as interrupted, and a crash leaves what a crash during an upload leaves.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ground.refusals import Refusal
from ground.threads import finish
from importer.errors import Refused
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.queue import Queue
from importer.requests import Sender
from importer.worker.turns import is_correction
from server.files.files import Files, Writing
from server.files.paths import ClientPath
from server.hooks.admission import refuse_if_full, settings_differ
from server.hooks.dry_runs import FilesOf
from server.hooks.receiving import receive, refusing
from server.hooks.sendable_files import SendableFiles
from server.tenants.accounts import limits_of
from server.tenants.settings import TenantSettings
from server.tenants.tenants import Tenants

PATH = ClientPath((b"sync_users.csv",))
GONE = "the file of this test is no longer kept. Test the file again"


class Sending:
    """Lands files that come over HTTP. `files_of` gives the files that the tenant's SFTP sessions share."""

    def __init__(
        self,
        tenants: Tenants,
        queue: Queue,
        files_of: FilesOf,
        sendable: SendableFiles,
    ) -> None:
        self._tenants = tenants
        self._queue = queue
        self._files_of = files_of
        self._sendable = sendable
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of_file(
        self, tenant: str, chunks: AsyncIterable[bytes], sender: Sender, sha256: str | None = None
    ) -> int:
        """Land the file in `chunks`; return the id of its import. `sha256` is its hash by the sender, if given.

        Raises TenantRefused, TryAgain, and Refused (`digest_missing`, `too_many_waiting`, `not_landed`, and those of
        `receive`). After these, or if `chunks` raises, the old file stays and nothing is imported.
        """
        settings = await self._tenants.settings(tenant)
        if settings.require_checksum and sha256 is None:
            raise Refused(
                "digest_missing",
                "the setting require_checksum is on: send the SHA-256 of the file in the header Content-Digest",
            )
        await self._admit(tenant, settings)
        with self._files_of(tenant, self._tenants.folder(tenant).root) as files:
            draft = await _begun(files, settings)
            try:
                await receive(draft, chunks, settings, sha256)
            except BaseException as error:
                await finish(files.abandon(draft, _why(error), sender))
                raise
            return await finish(_land(files, draft, replace(sender, checksum=sha256)))

    async def of_test(self, tenant: str, import_id: int, by: str) -> int:
        """Land the file of the dry run `import_id`; return the id of its import. A second call returns the same id.

        Raises TenantRefused, TryAgain, and Refused: `unknown_import`, `too_many_waiting`, `quota_exceeded`,
        `disk_full`, `not_landed`, those of `Listing.why_not_sent`, `settings_differ` and `test_gone`.
        """
        async with self._one_at_a_time[tenant]:
            tested = await self._queue.require(tenant, import_id)
            sent_as = await self._queue.sent_as(*tested.key)
            if sent_as:
                return sent_as.id
            settings = await self._tenants.settings(tenant)
            why_not = await self.why_not(self._queue, tested, settings)
            if why_not:
                raise why_not
            await self._admit(tenant, settings)
            with self._files_of(tenant, self._tenants.folder(tenant).root) as files:
                draft = await _begun(files, settings)
                try:
                    await self._copy(tested, draft, settings)
                except BaseException:
                    await files.discard(draft)
                    raise
                replaces = await self._replaces(tested, settings)
                sender = Sender(by, import_id, settings=settings.fingerprint, replaces=replaces)
                sent = await finish(_land(files, draft, sender))
            self._sendable.drop(tenant)
            return sent

    async def why_not(self, listing: Listing, tested: Entry, settings: TenantSettings) -> Refused | None:
        """Return why the file of the dry run `tested` cannot be sent now, by `listing`; None if it can."""
        why_not = await listing.why_not_sent(tested, replaces=await self._replaces(tested, settings))
        if why_not:
            return why_not
        if tested.outcome is None or tested.outcome.settings != settings.fingerprint:
            return settings_differ()
        folder = self._tenants.folder(tested.tenant)
        if await self._tenants.archive.find(folder, folder.copy(tested.id)) is None:
            return Refused("test_gone", GONE)
        return None

    async def _replaces(self, tested: Entry, settings: TenantSettings) -> bool:
        """Return whether the file of a dry run is a complete list, so that it supersedes those that wait."""
        if not settings.deactivate_missing:
            return False
        try:
            return not await is_correction(await self._tested_copy(tested), settings)
        except OSError:  # it is no longer kept
            return False

    async def _tested_copy(self, tested: Entry) -> Path:
        """Return where the file of a dry run is now, if it is kept."""
        folder = self._tenants.folder(tested.tenant)
        await self._tenants.archive.fetch(folder, folder.copy(tested.id))
        return folder.copy(tested.id)

    async def _admit(self, tenant: str, settings: TenantSettings) -> None:
        """Raise Refused if too many files wait, before one is received."""
        refuse_if_full(await self._queue.queued(tenant), settings, dry_run=False)

    async def _copy(self, tested: Entry, draft: Writing, settings: TenantSettings) -> None:
        """Copy the file of a dry run into `draft`. Raises Refused unless these are the bytes that were tested."""
        try:
            source = (await self._tested_copy(tested)).open("rb", buffering=0)
        except FileNotFoundError:
            raise Refused("test_gone", GONE) from None
        with source:
            with refusing(settings):
                await draft.fill(source)
            if await draft.sha256() != tested.file.sha256:
                raise Refused("test_gone", GONE)


async def _begun(files: Files, settings: TenantSettings) -> Writing:
    limits = limits_of(settings)
    with _landing():
        return await files.begin(PATH, lambda: limits, truncate=True, create=True, exclusive=False)


async def _land(files: Files, draft: Writing, sender: Sender) -> int:
    with _landing():
        import_id = await files.finish(draft, "http", sender)
    assert import_id is not None, "a hook is at this path"
    return import_id


@contextmanager
def _landing() -> Iterator[None]:
    try:
        with refusing():
            yield
    except OSError as error:
        why = error.strerror or str(error)
        raise Refused("not_landed", f"the file cannot be placed at {PATH}: {why}") from error


def _why(error: BaseException) -> str:
    """Return the reason that the list of imports gives for a file that did not arrive."""
    if isinstance(error, Refusal):
        return error.message
    return "the server stopped" if isinstance(error, asyncio.CancelledError) else "internal error"
