"""Trials: dry runs that do not come over SFTP, of a file dropped on the page or of other settings on the last file.

They go the way of an upload (docs/architecture.md, One file, one row), but for one thing: nothing appears in the
tenant's folder. What came is on disk before there is a row, and a copy under the row's number before it is queued;
whatever breaks off before leaves nothing behind. They take no check-sum, and nobody's place.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import unicodedata
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from ground.files import fsync_folder
from ground.moments import utc_now
from ground.threads import finish
from importer.errors import Refused, TryAgain
from importer.folder import TenantFolder
from importer.model import NEVER_RAN, ImportState, Written
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.requests import Trial
from importer.worker.closing import Closing
from server.files.contracts import TenantLimits
from server.files.drafts import Draft
from server.files.landing import reason_of
from server.files.paths import TEST, ClientPath
from server.files.space import Space, WhyNotStored, never_refused
from server.hooks.waiting import refuse_if_full
from server.tenants.accounts import limits_of
from server.tenants.settings import TenantSettings, changed, differences
from server.tenants.tenants import Tenants

log = logging.getLogger(__name__)

WAITING_MOST = 10
"""So many dry runs of a tenant may wait, or be on their way, before another trial is refused."""

STALLED_S = 60.0
"""A browser that sends nothing for so long has gone."""

NAME_BYTES = 255
NO_NAME = "upload.csv"
NO_KEPT_FILE = (
    "There is no file to try these settings on: none was imported yet, or it is not kept any longer. "
    "Save the settings and try a file of yours: a dry run changes nobody."
)

SpaceOf = Callable[[str, Path], AbstractContextManager[Space]]
"""The files of a tenant (its name, its folder) as its SFTP sessions share them: one quota for all."""


class Trials:
    """Queues trials. `queue` is the one whose worker is to be woken."""

    def __init__(
        self,
        tenants: Tenants,
        queue: Queue,
        closing: Closing,
        space_of: SpaceOf,
        why_not_stored: WhyNotStored = never_refused,
    ) -> None:
        self._tenants = tenants
        self._queue = queue
        self._closing = closing
        self._space_of = space_of
        self._why_not_stored = why_not_stored
        self._under_way: Counter[str] = Counter()

    async def of_file(self, tenant: str, name: str, chunks: AsyncIterable[bytes], by: str) -> int:
        """Queue a dry run of the file that comes in `chunks`; its id. `name` is what the file was called there.

        Raises TenantRefused, TryAgain, and Refused: `file_too_large`, `quota_exceeded`, `disk_full`,
        `upload_stalled`, `too_many_trials`, `too_many_waiting`. Then, and when `chunks` raises, nothing is left.
        """
        settings = await self._tenants.settings(tenant)
        folder, called = self._tenants.folder(tenant), tidy_name(name)
        async with self._place(tenant, settings):
            with self._space_of(tenant, folder.root) as space:
                draft = await _empty_draft(space, called, limits_of(settings))
                try:
                    await _receive(draft, chunks, settings)
                    staged = folder.staging / os.fsdecode(draft.name)
                    import_id = await finish(self._land(tenant, staged, called, draft.size, Trial(by)))
                finally:
                    draft.discard(_close_later)
                await space.recounted()
        return import_id

    async def of_settings(self, tenant: str, changes: Mapping[str, object], by: str) -> int:
        """Queue a dry run of the newest import's file with `changes` put into the settings; its id.

        `changes` are as `Tenants.change_settings` takes them. Raises TenantRefused if they make no sense, TryAgain,
        and Refused: `no_kept_file`, `too_many_trials`, `too_many_waiting`.
        """
        now = await self._tenants.settings(tenant)
        after = changed(now, changes)
        tried = {name: new for name, (_, new) in differences(now, after).items()}
        folder = self._tenants.folder(tenant)
        async with self._place(tenant, now):
            staged = folder.staging / secrets.token_hex(16)
            try:
                tested = await self._take_newest(tenant, folder, staged)
                trial = Trial(by, tried, tested.id)
                file = tested.file
                return await finish(self._land(tenant, staged, file.name, file.size, trial, tested.written))
            finally:
                staged.unlink(missing_ok=True)

    @asynccontextmanager
    async def _place(self, tenant: str, settings: TenantSettings) -> AsyncIterator[None]:
        """One of the places there are for dry runs of `tenant`. Raises Refused."""
        why = self._why_not_stored(tenant)
        if why:
            raise TryAgain("disk_full", why)
        self._under_way[tenant] += 1
        try:
            queued, others = await self._queue.queued(tenant), self._under_way[tenant] - 1
            refuse_if_full(queued, settings, dry_run=True, trial=True, coming=others)
            if sum(each.dry_run for each in queued) + others >= WAITING_MOST:
                raise Refused(
                    "too_many_trials",
                    f"{WAITING_MOST} dry runs wait already: look at what they come to, then try again",
                )
            yield
        finally:
            self._under_way[tenant] -= 1
            self._under_way += Counter()  # forget who is at zero

    async def _take_newest(self, tenant: str, folder: TenantFolder, staged: Path) -> Entry:
        """Make `staged` the file of the newest real import that still has one. Corrections are no whole files."""
        for import_id in await asyncio.to_thread(_kept, folder.uploads):
            entry = await self._queue.get(tenant, import_id)
            real = entry is not None and not entry.dry_run and entry.state not in NEVER_RAN
            if entry is not None and real and not entry.correction:
                try:
                    await asyncio.to_thread(os.link, folder.copy(import_id), staged)
                except FileNotFoundError:  # forgotten just now
                    continue
                return entry
        raise Refused("no_kept_file", NO_KEPT_FILE)

    async def _land(
        self, tenant: str, staged: Path, name: str, size: int, trial: Trial, written: Written | None = None
    ) -> int:
        """Queue what is on disk at `staged`. How it was written is known only of a file that came over SFTP."""
        import_id = await self._queue.arriving(
            tenant,
            f"/test/{name}",
            size=size,
            written=written,
            uploaded_at=utc_now(),
            dry_run=True,
            trial=trial,
        )
        copy = self._tenants.folder(tenant).copy(import_id)
        try:
            with _refusing():
                await asyncio.to_thread(_link, staged, copy)
            await self._queue.landed(tenant, import_id)
        except Exception as error:
            copy.unlink(missing_ok=True)
            await self._not_landed(tenant, import_id, error)
            raise
        facts = {"event": "import_queued", "tenant": tenant, "import_id": import_id, "dry_run": True, "size": size}
        log.info("Import %d of %s is queued: a trial.", import_id, tenant, extra=facts)
        return import_id

    async def _not_landed(self, tenant: str, import_id: int, error: Exception) -> None:
        """What can't be written down now, the next start does."""
        try:
            entry = await self._queue.get(tenant, import_id)
            if entry:
                why = f"The dry run could not be queued: {reason_of(error)}. Try it again."
                await self._closing.end_upload(entry, ImportState.ABORTED, why)
        except TryAgain:
            log.warning(
                "A trial of %s that could not be queued could not be recorded.",
                tenant,
                extra={"event": "upload_unrecorded", "tenant": tenant, "state": ImportState.ABORTED.value},
            )


def tidy_name(name: str) -> str:
    """A file's name as it is kept: without folders and what can't be seen, 255 bytes at most."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    seen = "".join(letter for letter in last if not unicodedata.category(letter).startswith("C")).strip()
    cut = seen.encode()[:NAME_BYTES].decode(errors="ignore")
    return cut if cut.strip(".") else NO_NAME


async def _empty_draft(space: Space, name: str, limits: TenantLimits) -> Draft:
    """A file in staging that is counted like an upload under way, but not as one file more."""
    usage = await space.recounted()
    with _refusing():
        return Draft(ClientPath((TEST, name.encode())), space.staging.fd, usage, lambda: limits, new=False)


async def _receive(draft: Draft, chunks: AsyncIterable[bytes], settings: TenantSettings) -> None:
    """Everything that comes is in `draft`, and on disk."""
    async for chunk in _while_they_come(chunks):
        if draft.size + len(chunk) > settings.max_file_bytes:
            longest = settings.max_file_bytes.human_readable(separator=" ")
            raise Refused("file_too_large", f"the file is too large: it may have {longest} at most")
        with _refusing(settings):
            draft.write(draft.size, chunk)
    with _refusing():
        await asyncio.to_thread(os.fsync, draft.fd)


async def _while_they_come(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    coming = aiter(chunks)
    while True:
        try:
            async with asyncio.timeout(STALLED_S):
                chunk = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused("upload_stalled", f"nothing came for {STALLED_S:.0f} seconds; send it again") from None
        yield chunk


@contextmanager
def _refusing(settings: TenantSettings | None = None) -> Iterator[None]:
    """What there is no room for is refused with a sentence; other faults of the disk are ours."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EDQUOT and settings:
            room = settings.quota_bytes.human_readable(separator=" ")
            raise Refused(
                "quota_exceeded",
                f"there is no room for the file: all files, with those that are on their way and dry runs that wait, "
                f"may have {room} together",
            ) from None
        if error.errno == errno.ENOSPC:
            raise Refused("disk_full", "the disk of the server is full: whoever runs it has to make room") from None
        if error.errno in (errno.EROFS, errno.EIO):
            raise TryAgain("disk_error", "the disk of the server could not be written") from None
        raise


def _kept(uploads: Path) -> list[int]:
    """The imports whose file is there, newest first."""
    return sorted((int(file.stem) for file in uploads.glob("*.csv") if file.stem.isdecimal()), reverse=True)


def _link(staged: Path, copy: Path) -> None:
    """The file at `staged` has the name `copy` too; on disk when it returns."""
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    os.link(staged, copy)
    fsync_folder(copy.parent)


def _close_later(fd: int) -> None:
    """If it is the last of a file without a name, closing frees the file, which takes its time."""
    asyncio.get_running_loop().run_in_executor(None, os.close, fd)
