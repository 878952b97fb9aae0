"""The files of tenants in the database, as `server.files.files` says."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, cast

from engine.landing import LandedFile
from engine.shared.files import Entry, FileStore, Names
from ground.moments import from_rfc3339
from importer.folder import TenantFolder
from importer.model import Written
from server.files.base import WhyNotStored, never_refused
from server.files.contracts import Metrics, TenantLimits
from server.files.disk import Disk
from server.files.drafts import Draft
from server.files.files import Gone, Limits, Room, Times, Writing
from server.files.hooks import Hook, HookTable, Upload
from server.files.paths import ClientPath
from server.files.reports import reporting_refusal
from server.files.sentences import check_regular
from server.files.shared import changes, uploads
from server.files.shared.facts import Facts, facts_of
from server.files.shared.reaching import reaching
from server.files.shared.reading import OpenFolder, Reader
from server.files.shared.space import Identity, SharedHouse, Space
from server.files.shared.spool import Spooled
from server.files.shared.windows import Windows

PAGE = 1000
"""How many names are read at once."""
STOPPED = "the server stopped during the upload"


class SharedFiles(Space):
    """The files of one tenant, as `server.files.files.Files`. Every step may wait for the database."""

    async def recount(self) -> None:
        with suppress(OSError):
            await self.recounted()

    async def room(self, limits: TenantLimits) -> Room:
        usage = await self.recounted()
        return Room(max(0, limits.quota_bytes - usage.taken), max(0, limits.quota_files - usage.files))

    async def stat(self, path: ClientPath) -> Facts:
        return facts_of(await self.find(path))

    async def open(self, path: ClientPath) -> Reader:
        entry = await self.find(path)
        check_regular(facts_of(entry))
        return Reader(self, path, entry)

    async def listing(self, path: ClientPath) -> OpenFolder:
        folder = await self.find(path)
        if folder.content is not None:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return OpenFolder(self, folder)

    async def begin(
        self, path: ClientPath, limits: Limits, *, truncate: bool, create: bool, exclusive: bool
    ) -> Spooled:
        with reporting_refusal(self, path):
            return await uploads.begin(self, path, limits, truncate=truncate, create=create, exclusive=exclusive)

    async def begin_apart(self, path: ClientPath, limits: Limits) -> Spooled:
        return await uploads.begin_apart(self, path, limits)

    async def remove_open(self, draft: Writing) -> None:
        await uploads.remove_open(self, _spooled(draft))

    async def move_open(self, draft: Writing, new: ClientPath, *, replace: bool) -> None:
        await uploads.move_open(self, _spooled(draft), new, replace=replace)

    async def rename(self, old: ClientPath, new: ClientPath, *, replace: bool, gone: Gone | None = None) -> None:
        await changes.rename(self, old, new, replace=replace, gone=gone)

    async def remove(self, path: ClientPath) -> None:
        await changes.remove(self, path)

    async def make_folder(self, path: ClientPath, limits: TenantLimits) -> None:
        await changes.make_folder(self, path, limits)

    async def remove_folder(self, path: ClientPath) -> None:
        await changes.remove_folder(self, path)

    async def set_times(self, path: ClientPath, times: Times) -> None:
        await changes.set_times(self, path, times)

    async def _drop(self, draft: Draft) -> None:
        await uploads.drop(self, _spooled(draft))

    async def _publish(self, draft: Draft, written: Written | None) -> None:
        await uploads.publish(self, _spooled(draft), written)

    async def _land(
        self, draft: Draft, hook: Hook, upload: Upload, written: Written | None, gone: Gone | None
    ) -> int:
        return await uploads.land_draft(self, _spooled(draft), hook, upload, written, gone)

    async def _keep_times(self, draft: Draft) -> None:
        await uploads.keep_times(self, _spooled(draft))


class AllSharedFiles:
    """The files of all tenants, as `server.files.files.AllFiles`."""

    def __init__(
        self,
        hooks: HookTable,
        metrics: Metrics,
        store: FileStore,
        identity: Identity,
        longest_read: int,
        why_not_stored: WhyNotStored = never_refused,
    ) -> None:
        """`longest_read`: the bytes of the longest answer to a read."""
        self._house = SharedHouse(
            hooks=hooks,
            metrics=metrics,
            disk=Disk(longest_read),
            why_not_stored=why_not_stored,
            store=store,
            identity=identity,
            windows=Windows(),
            longest_read=longest_read,
        )

    def open(self, tenant: str, root: Path) -> SharedFiles:
        """Open the files of a tenant. Raises OSError."""
        return SharedFiles(tenant, root, self._house)

    def identity(self, root: Path) -> int | None:
        """Return the id of a tenant; None if there is none of this name now. Raises TryAgain."""
        return self._house.identity(root.name)

    async def names(self, root: Path, folder: ClientPath) -> list[bytes]:
        """Return the names in a folder. Raises OSError."""
        found: list[bytes] = []
        with reaching():
            names, entry = await self._look(root, folder)
            while page := await names.page(entry.id, found[-1] if found else b"", PAGE):
                found += [each.name for each in page]
        return found

    async def look(self, root: Path, path: ClientPath) -> BinaryIO:
        """Return the bytes of a file, as a file of the scratch folder without a name. Raises OSError."""
        with reaching():
            _, entry = await self._look(root, path)
            check_regular(facts_of(entry))
            staging = TenantFolder(root).staging
            staging.mkdir(mode=0o700, parents=True, exist_ok=True)
            with ExitStack() as stack:
                file = stack.enter_context(tempfile.TemporaryFile(dir=staging))
                await self._house.store.contents.fetch(root.name, entry.content or 0, file.fileno())
                stack.pop_all()
        return cast(BinaryIO, file)

    async def left(self) -> set[str]:
        return await self._house.store.drafts.left()

    async def place_again(self, root: Path, files: Sequence[LandedFile]) -> None:
        raise AssertionError("a file and its names are in one transaction")

    async def clear(self, tenant: str, root: Path) -> int:
        """Report the drafts that other servers left, once: the report and the end of its note are one change."""
        store = self._house.store
        async with (await store.names.open(tenant)).together():
            left = await store.drafts.take_left(tenant)
            for found in left:
                hook = self._house.hooks.of(tenant).begins(found.path)
                if hook is not None:
                    upload = Upload(tenant, found.path, found.size, None, from_rfc3339(found.noted_at), "close")
                    await hook.aborted(upload, STOPPED)
        return len(left)

    def close(self) -> None:
        self._house.disk.close()

    async def _look(self, root: Path, path: ClientPath) -> tuple[Names, Entry]:
        names = await self._house.store.names.open(root.name)
        entry = (await names.look(path.parts)).entry
        if entry is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return names, entry


def _spooled(draft: Writing) -> Spooled:
    """Return a draft that these files made."""
    assert isinstance(draft, Spooled)
    return draft
