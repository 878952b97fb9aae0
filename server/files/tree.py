"""The only way from a client's path to a file: component by component below an open folder, never through a link.

No string path ever reaches the kernel, so no link, however it got there, and no rename in between leads out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.files.paths import ClientPath

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Tree:
    """An open folder as the root of client paths. Everything raises OSError as the kernel does."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, _OPEN_FOLDER)

    def close(self) -> None:
        os.close(self.fd)

    def open_folder(self, parts: tuple[bytes, ...]) -> int:
        """A descriptor of the folder at `parts`, for the caller to close."""
        fd = os.open(b".", _OPEN_FOLDER, dir_fd=self.fd)
        for part in parts:
            above = fd
            try:
                fd = os.open(part, _OPEN_FOLDER, dir_fd=above)
            finally:
                os.close(above)
        return fd

    @contextmanager
    def holding(self, path: ClientPath) -> Iterator[int]:
        """A descriptor of the folder that `path` is in, open inside the block. Raises EACCES for the root."""
        if not path.parts:
            raise OSError(errno.EACCES, "the folder itself can't be changed")
        if len(path.parts) == 1:
            yield self.fd
            return
        fd = self.open_folder(path.folder)
        try:
            yield fd
        finally:
            os.close(fd)

    def stat(self, path: ClientPath) -> os.stat_result:
        """What is at `path`; of a link the link itself."""
        if not path.parts:
            return os.fstat(self.fd)
        with self.holding(path) as folder:
            return os.stat(path.name, dir_fd=folder, follow_symlinks=False)

    def open_file(self, path: ClientPath) -> int:
        """A descriptor for reading the regular file at `path`, for the caller to close."""
        if not path.parts:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with self.holding(path) as folder:
            return open_regular(path.name, folder)


def open_regular(name: bytes, folder: int) -> int:
    """Open the regular file `name` in `folder` for reading. Raises EISDIR, or EACCES for anything but a file."""
    check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
    fd = os.open(name, _OPEN_FILE, dir_fd=folder)
    try:
        check_regular(os.fstat(fd))
    except OSError:
        os.close(fd)
        raise
    return fd


def check_regular(found: os.stat_result) -> None:
    """Raise OSError unless `found` is of a regular file."""
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "that is a folder")
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.EACCES, "links are not followed")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EACCES, "that is no file")


def stat_if_there(name: bytes, folder: int) -> os.stat_result | None:
    """What `name` in `folder` is, not following it; None if it isn't there."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def in_the_way(name: bytes, folder: int, *, replace: bool) -> os.stat_result | None:
    """Return what a rename to `name` in `folder` would replace; None if nothing. Raises EEXIST where it may not."""
    there = stat_if_there(name, folder)
    if there is not None and not replace:
        raise OSError(errno.EEXIST, "there is something of that name already")
    return there
