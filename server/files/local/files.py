"""The files of tenants in folders of this machine, as `server.files.files` says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.landing import LandedFile
from importer.folder import TenantFolder
from importer.model import Written
from server.files.base import WhyNotStored, never_refused
from server.files.contracts import Metrics, TenantLimits
from server.files.disk import Disk
from server.files.drafts import Draft
from server.files.ending import own
from server.files.files import Gone, Limits, Room, Times, Writing
from server.files.hooks import Hook, HookTable, Upload
from server.files.local import changes, uploads
from server.files.local.again import place_again
from server.files.local.leftovers import clear_staging
from server.files.local.reading import OpenFolder, Reader
from server.files.local.records import Memory
from server.files.local.space import LocalHouse, Space
from server.files.local.tree import Tree
from server.files.paths import ClientPath
from server.files.reports import reporting_refusal


class LocalFiles(Space):
    """The files of one tenant, as `server.files.files.Files`. Only the steps that say so there wait."""

    async def recount(self) -> None:
        self._copies_at = float("-inf")  # a copy that was never a visible file counts from now on
        await self.recounted()

    async def room(self, limits: TenantLimits) -> Room:
        usage = await self.recounted()
        disk = os.fstatvfs(self.folder.fd)
        free = min(limits.quota_bytes - usage.taken, disk.f_bavail * disk.f_frsize)
        return Room(max(0, free), max(0, limits.quota_files - usage.files))

    async def stat(self, path: ClientPath) -> os.stat_result:
        return self.folder.stat(path)

    async def open(self, path: ClientPath) -> Reader:
        return Reader(path, self.folder.open_file(path), self.house.disk)

    async def listing(self, path: ClientPath) -> OpenFolder:
        return OpenFolder(self.folder.open_folder(path.parts))

    async def begin(
        self, path: ClientPath, limits: Limits, *, truncate: bool, create: bool, exclusive: bool
    ) -> Draft:
        with reporting_refusal(self, path):
            return await uploads.begin(self, path, limits, truncate=truncate, create=create, exclusive=exclusive)

    async def begin_apart(self, path: ClientPath, limits: Limits) -> Draft:
        return await uploads.begin_apart(self, path, limits)

    async def remove_open(self, draft: Writing) -> None:
        uploads.remove_open(own(draft))

    async def move_open(self, draft: Writing, new: ClientPath, *, replace: bool) -> None:
        uploads.move_open(self, own(draft), new, replace=replace)

    async def rename(self, old: ClientPath, new: ClientPath, *, replace: bool, gone: Gone | None = None) -> None:
        await changes.rename(self, old, new, replace=replace, gone=gone)

    async def remove(self, path: ClientPath) -> None:
        await changes.remove(self, path)

    async def make_folder(self, path: ClientPath, limits: TenantLimits) -> None:
        await changes.make_folder(self, path, limits)

    async def remove_folder(self, path: ClientPath) -> None:
        await changes.remove_folder(self, path)

    async def set_times(self, path: ClientPath, times: Times) -> None:
        changes.set_times(self, path, times)

    async def _drop(self, draft: Draft) -> None:
        draft.drop()

    async def _publish(self, draft: Draft, written: Written | None) -> None:
        await uploads.publish(self, draft, written)

    async def _land(
        self, draft: Draft, hook: Hook, upload: Upload, written: Written | None, gone: Gone | None
    ) -> int:
        return await uploads.land_draft(self, draft, hook, upload, written, gone)

    async def _keep_times(self, draft: Draft) -> None:
        uploads.keep_times(self, draft)


class AllLocalFiles:
    """The files of all tenants, as `server.files.files.AllFiles`."""

    def __init__(
        self,
        hooks: HookTable,
        metrics: Metrics,
        waiting_copies: Callable[[str], Sequence[Path] | None],
        longest_read: int,
        why_not_stored: WhyNotStored = never_refused,
    ) -> None:
        """`waiting_copies` is that of `TenantDirectory`; `longest_read` are the bytes of the longest answer."""
        self._house = LocalHouse(
            hooks=hooks,
            metrics=metrics,
            disk=Disk(longest_read),
            why_not_stored=why_not_stored,
            memory=Memory(),
            waiting_copies=waiting_copies,
        )

    def open(self, tenant: str, root: Path) -> LocalFiles:
        """Open the folder of a tenant. Raises OSError."""
        return LocalFiles(tenant, root, self._house)

    def identity(self, root: Path) -> tuple[int, int] | None:
        """Return device and inode of a folder; None if it does not exist."""
        try:
            found = os.stat(root)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    async def names(self, root: Path, folder: ClientPath) -> list[bytes]:
        """Return the names in a folder. Raises OSError."""
        return await self._house.disk.in_thread(_names, root, folder)

    async def look(self, root: Path, path: ClientPath) -> BinaryIO:
        """Open a file. Raises OSError."""
        return await self._house.disk.in_thread(_opened, root, path)

    async def left(self) -> set[str]:
        return set()

    async def place_again(self, root: Path, files: Sequence[LandedFile]) -> None:
        """Bring files that landed to the disk under their names. Raises OSError."""
        await self._house.disk.in_thread(place_again, TenantFolder(root), files)

    async def clear(self, tenant: str, root: Path) -> int:
        """Empty the staging folder of a tenant; see `clear_staging`."""
        return await clear_staging(root, tenant, self._house.hooks)

    def close(self) -> None:
        self._house.disk.close()


def _names(root: Path, folder: ClientPath) -> list[bytes]:
    with _tree(root) as tree:
        fd = tree.open_folder(folder.parts)
        try:
            return [os.fsencode(name) for name in os.listdir(fd)]
        finally:
            os.close(fd)


def _opened(root: Path, path: ClientPath) -> BinaryIO:
    with _tree(root) as tree:
        return os.fdopen(tree.open_file(path), "rb")


@contextmanager
def _tree(root: Path) -> Iterator[Tree]:
    """Open a tenant's folder: files in it are read without following a link."""
    tree = Tree(TenantFolder(root).files)
    try:
        yield tree
    finally:
        tree.close()
