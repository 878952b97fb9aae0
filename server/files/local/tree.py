"""The only way from a client's path to a file: component by component below an open folder, never through a link.

The kernel never gets a path of several components. So neither a link nor a rename in between leads out of the folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.files.paths import ClientPath
from server.files.sentences import check_free, check_regular

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Tree:
    """An open folder as the root of client paths. Every method raises OSError as the kernel does."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, _OPEN_FOLDER)

    def close(self) -> None:
        os.close(self.fd)

    def open_folder(self, parts: tuple[bytes, ...]) -> int:
        """Open the folder at `parts`; the caller closes the descriptor."""
        fd = os.open(parts[0] if parts else b".", _OPEN_FOLDER, dir_fd=self.fd)
        for part in parts[1:]:
            above = fd
            try:
                fd = os.open(part, _OPEN_FOLDER, dir_fd=above)
            finally:
                os.close(above)
        return fd

    def make_folder(self, parts: tuple[bytes, ...]) -> bool:
        """Make the folder at `parts`; return False if it exists already."""
        above = self.open_folder(parts[:-1])
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=above)
        except FileExistsError:
            os.close(self.open_folder(parts))
            return False
        finally:
            os.close(above)
        return True

    @contextmanager
    def holding(self, path: ClientPath) -> Iterator[int]:
        """Yield a descriptor of the parent folder of `path`, open inside the block. Raises EACCES for the root."""
        if not path.parts:
            raise OSError(errno.EACCES, "/ cannot be replaced, renamed or removed")
        if len(path.parts) == 1:
            yield self.fd
            return
        fd = self.open_folder(path.folder)
        try:
            yield fd
        finally:
            os.close(fd)

    def stat(self, path: ClientPath) -> os.stat_result:
        """Return the stat of `path`, without following a link."""
        if not path.parts:
            return os.fstat(self.fd)
        with self.holding(path) as folder:
            return os.stat(path.name, dir_fd=folder, follow_symlinks=False)

    def open_file(self, path: ClientPath) -> int:
        """Open the regular file at `path` for reading; the caller closes the descriptor."""
        if not path.parts:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self.holding(path) as folder:
            return open_regular(path.name, folder)


def open_regular(name: bytes, folder: int) -> int:
    """Open the regular file `name` in `folder` for reading. Raises EISDIR for a folder, EACCES for other kinds."""
    check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
    fd = os.open(name, _OPEN_FILE, dir_fd=folder)
    try:
        check_regular(os.fstat(fd))
    except OSError:
        os.close(fd)
        raise
    return fd


def stat_if_there(name: bytes, folder: int) -> os.stat_result | None:
    """Return the stat of `name` in `folder`, without following a link; None if it does not exist."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def in_the_way(name: bytes, folder: int, *, replace: bool) -> os.stat_result | None:
    """Return the stat of what a rename to `name` would replace, or None. Raises EEXIST if it may not be replaced."""
    there = stat_if_there(name, folder)
    check_free(there, replace=replace)
    return there
