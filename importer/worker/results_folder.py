"""The folder /results of a tenant, opened to write to it.

`Results` is where the folders are; those of `LocalResults` are on disk. There a file is complete or absent: it is
made in the staging folder and renamed. No link is followed: each folder is opened inside its parent, and a link in
place of a folder raises OSError.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from importer.folder import TenantFolder

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ResultsFolder(Protocol):
    """The open folder of a tenant. Every method raises OSError."""

    def names(self) -> list[str]:
        """Return the names of all files."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, in place of one that has this name."""

    def link(self, name: str, file: Path) -> None:
        """Give a regular file this name too, in place of one that has it."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


class Results(Protocol):
    """The folders /results of all tenants."""

    async def change(self, folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
        """Run `work` on /results of a tenant, in a thread; what it does is stored on return.

        Raises OSError and TryAgain if it cannot be stored now, and what `work` raises.
        """


class LocalResults:
    """The `Results` in the tenants' own folders."""

    async def change(self, folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
        await asyncio.to_thread(_change, folder, work)


LOCAL_RESULTS = LocalResults()


def _change(folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
    with _opened(folder) as results:
        work(results)


class _OpenFolder:
    """A `ResultsFolder` on disk."""

    def __init__(self, staging: int, results: int) -> None:
        self._staging = staging
        self._results = results

    def names(self) -> list[str]:
        with os.scandir(self._results) as entries:
            return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]

    def write(self, name: str, content: bytes) -> None:
        with self._replacing(name) as new, open(os.open(new, _NEW, 0o600, dir_fd=self._staging), "wb") as file:
            file.write(content)

    def link(self, name: str, file: Path) -> None:
        if not self._is(name, file):  # renaming one name of a file over another does nothing
            with self._replacing(name) as new:
                os.link(file, new, dst_dir_fd=self._staging, follow_symlinks=False)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._results)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[str]:
        """Yield a name in staging for the block to create a file at; afterwards that file replaces `name`."""
        new = f"{name}.new"
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self._staging)
        try:
            yield new
            os.rename(new, name, src_dir_fd=self._staging, dst_dir_fd=self._results)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=self._staging)
            raise

    def _is(self, name: str, other: Path) -> bool:
        """Return whether `name` here and `other` are the same file."""
        try:
            here = os.stat(name, dir_fd=self._results, follow_symlinks=False)
            return stat.S_ISREG(here.st_mode) and os.path.samestat(here, other.stat())
        except FileNotFoundError:
            return False


@contextmanager
def _opened(folder: TenantFolder) -> Iterator[ResultsFolder]:
    """Yield /results of a tenant. Blocks; it and the staging folder are created if missing. Raises OSError."""
    with ExitStack() as stack:

        def inside(parent: int | None, path: Path | str) -> int:
            if parent is not None:
                with suppress(FileExistsError):
                    os.mkdir(path, 0o700, dir_fd=parent)
            fd = os.open(path, _FOLDER, dir_fd=parent)
            stack.callback(os.close, fd)
            return fd

        root = inside(None, folder.root)
        staging = inside(root, folder.staging.name)
        yield _OpenFolder(staging, inside(inside(root, folder.files.name), folder.results.name))
