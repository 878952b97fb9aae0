"""The files of imports and runs that outlive the process, and where they are kept.

They are those in `uploads/`, `messages/` and `runs/` of a tenant's folder: the copies that imports and runs read, and
the messages and advice of imports. Each has its path in a `TenantFolder`, where code in a thread reads and writes it.
If the folder is on a disk that stays, it is the archive itself, and `LocalArchive` has almost nothing to do. Else the
folder is a cache of the process: a reader fetches first, and a writer keeps what it made.
"""

from __future__ import annotations

import asyncio
import filecmp
import os
import stat
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ground.files import locked
from importer.folder import TenantFolder


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the archive, of `size` bytes.

    `linked`: what it consists of has another name, such as that of the visible file, so dropping it frees no space.
    `mark` differs from that of every other file, and of this one if it was replaced.
    """

    size: int
    linked: bool
    mark: Hashable


class Archive(Protocol):
    """The archive of all tenants. A file has the name that its path has in the tenant's folder.

    Every method raises OSError, and TryAgain if the archive cannot be reached now; then nothing was changed. All may
    be called in any event loop, also in that of an import.
    """

    def making(self, folder: TenantFolder) -> AbstractAsyncContextManager[TenantFolder]:
        """Yield the folder in which the block makes files, with the folder `messages` in it.

        No reader sees them before `keep`, unless the folder itself is the archive. If the tenant is removed
        meanwhile, they are not those of a new tenant of its name.
        """

    async def keep(self, folder: TenantFolder, *files: Path) -> None:
        """Store what is at these paths of a folder: all of it or nothing, durable on return.

        A path without a file is dropped.
        """

    async def fetch(self, folder: TenantFolder, *files: Path) -> None:
        """Bring each stored file to its path, and let no other file be there. A path is readable for a while then."""

    def beginning(self, folder: TenantFolder, file: Path, most: int) -> AbstractAsyncContextManager[Path]:
        """Yield the path of a file with at least the first `most` bytes of a stored file, or all of it.

        Several servers look at a file, and one of them needs all of it. There is no file if none is stored.
        """

    def held(self, folder: TenantFolder, *files: Path) -> AbstractAsyncContextManager[None]:
        """Fetch these files, and keep them at their paths during the block."""

    async def drop(self, folder: TenantFolder, *files: Path) -> None:
        """Delete these files, as far as they exist."""

    async def drop_if(self, folder: TenantFolder, file: Path, found: Stored) -> None:
        """Delete a file if it still is the one that was `found`."""

    async def find(self, folder: TenantFolder, file: Path) -> Stored | None:
        """Return what is stored of a file; None if there is no such file."""

    async def lacks(self, folder: TenantFolder, file: Path) -> bool:
        """Return whether a file is missing for certain. Raises OSError if nothing is known about it."""

    async def names(self, folder: TenantFolder, place: Path) -> list[str]:
        """Return the names of the files in a folder of the tenant, such as `folder.uploads`."""

    async def stored(self, folder: TenantFolder, place: Path) -> dict[str, Stored]:
        """Return the files in a folder of the tenant by name."""

    async def was_published(self, folder: TenantFolder, copy: Path, visible: Path) -> bool:
        """Return whether the file of which `copy` was made became the visible file, before a stop of the server."""

    def locked(self, folder: TenantFolder, place: Path) -> AbstractAsyncContextManager[None]:
        """Hold the lock of a folder of the tenant: other blocks with it wait, in all processes."""


Keep = Callable[[], Awaitable[None]]
"""Stores the files that a piece of work made; raises what `Archive.keep` does."""


async def keep_in_place() -> None:
    """Store nothing: the files stay where they were made."""


class LocalArchive:
    """An `Archive` in the tenants' own folders."""

    def making(self, folder: TenantFolder) -> AbstractAsyncContextManager[TenantFolder]:
        return nullcontext(folder)

    async def keep(self, folder: TenantFolder, *files: Path) -> None:
        return None

    async def fetch(self, folder: TenantFolder, *files: Path) -> None:
        return None

    def beginning(self, folder: TenantFolder, file: Path, most: int) -> AbstractAsyncContextManager[Path]:
        return nullcontext(file)

    def held(self, folder: TenantFolder, *files: Path) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def drop(self, folder: TenantFolder, *files: Path) -> None:
        await asyncio.to_thread(_unlink, files)  # a large file takes long

    async def drop_if(self, folder: TenantFolder, file: Path, found: Stored) -> None:
        await asyncio.to_thread(_unlink_if, file, found)

    async def find(self, folder: TenantFolder, file: Path) -> Stored | None:
        try:
            return _stored(file.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def lacks(self, folder: TenantFolder, file: Path) -> bool:
        return file.name not in await asyncio.to_thread(os.listdir, file.parent)

    async def names(self, folder: TenantFolder, place: Path) -> list[str]:
        return await asyncio.to_thread(_names, place)

    async def stored(self, folder: TenantFolder, place: Path) -> dict[str, Stored]:
        return await asyncio.to_thread(_all_stored, place)

    async def was_published(self, folder: TenantFolder, copy: Path, visible: Path) -> bool:
        return await asyncio.to_thread(_is_same, copy, visible)

    def locked(self, folder: TenantFolder, place: Path) -> AbstractAsyncContextManager[None]:
        return locked(place)


LOCAL = LocalArchive()


def _unlink(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _unlink_if(file: Path, found: Stored) -> None:
    with suppress(FileNotFoundError):
        if _stored(file.stat()).mark == found.mark:
            file.unlink()


def _stored(facts: os.stat_result) -> Stored:
    return Stored(facts.st_size, facts.st_nlink > 1, (facts.st_dev, facts.st_ino, facts.st_mtime_ns))


def _names(place: Path) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        return [entry.name for entry in entries if not entry.is_dir()]
    return []


def _all_stored(place: Path) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    with suppress(FileNotFoundError), os.scandir(place) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found[entry.name] = _stored(facts)
    return found


def _is_same(copy: Path, visible: Path) -> bool:
    """Return whether both are one inode, or have the same bytes if links are not possible."""
    if not (copy.is_file() and visible.is_file()):
        return False
    return copy.samefile(visible) or filecmp.cmp(copy, visible, shallow=False)
