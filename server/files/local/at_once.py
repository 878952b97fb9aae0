"""Place a short file whose bytes are in the database: no step before the client's OK waits for the disk.

`landing` has the theory.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from server.files.local.kept import Folder
from server.files.local.leftovers import unmark
from server.files.local.placing import Placement
from server.files.local.space import Space
from server.files.paths import ClientPath
from server.files.reports import REMOVED, NotLanded

SHORT_FILE = 256 * 1024
"""Bytes. A flush of so many is over soon after the record of the hook, or beside it."""
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class AtOnce:
    """An `engine.landing.Placing`. The descriptors that `keep` needs are not those of the upload: it comes later."""

    def __init__(self, space: Space, path: ClientPath, fd: int, folder: int, placement: Placement) -> None:
        """`fd` is the open file, and `folder` the open folder of the target."""
        self._space = space
        self._path = path
        self._fd = fd
        self._folder = folder
        self._placement = placement
        self._content = b""
        self._own: int | None = None
        self._folders: list[Folder] = []
        self._failed = False

    def content(self) -> tuple[bytes, int]:
        self._space.flush_folders(self._path)
        found = os.fstat(self._fd)
        self._content = os.pread(self._fd, SHORT_FILE, 0)
        if len(self._content) != found.st_size:  # a read ends before what the disk cannot read
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._content, found.st_mtime_ns

    def copy(self, path: Path) -> None:
        self._own = os.dup(self._fd)
        runs = os.path.dirname(path)
        self._folders.append(self._space.kept.hold(os.fstat(self._folder), lambda: os.dup(self._folder)))
        self._folders.append(self._space.kept.hold(os.stat(runs), lambda: os.open(runs, OPEN_FOLDER)))
        self._placement.link(path)
        self._placement.prepare()
        # The row of a tenant is deleted after its folder is moved, and not now: so the row is this tenant's.
        if self._space.removed:
            raise NotLanded(REMOVED)

    def show(self) -> None:
        self._placement.rename()
        unmark(self._fd)  # a start finds the file in the database

    def begin_keep(self) -> None:
        # The file system then gives all files their places, and one flush of its journal is enough for them.
        if self._own is not None:
            with suppress(OSError):
                os.posix_fadvise(self._own, 0, 0, os.POSIX_FADV_DONTNEED)

    def keep(self, folders: set[Folder]) -> None:
        if self._own is None:
            return
        if self._failed:
            write_again(self._own, self._content)
        self._failed = True
        os.fsync(self._own)
        for folder in self._folders:
            if folder not in folders:
                self._space.kept.flush(folder)
                folders.add(folder)
        self._close()

    def undo(self) -> None:
        self._close()
        self._placement.undo()

    def _close(self) -> None:
        self._content = b""
        while self._folders:
            self._space.kept.release(self._folders.pop())
        if self._own is not None:
            os.close(self._own)
            self._own = None


def write_again(own: int, content: bytes) -> None:
    """Write the bytes of an open file: a flush that failed may have lost what the next one does not write again.

    Raises OSError.
    """
    found = os.fstat(own)
    # A file that was renamed is open for reading only, and its names may be those of other files now.
    fd = os.open(f"/proc/self/fd/{own}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.pwrite(fd, content, 0) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(fd)
