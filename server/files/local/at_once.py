"""Place a short file whose bytes are in the database: no step before the client's OK waits for the disk.

`landing` has the theory.
"""

from __future__ import annotations

import os
from pathlib import Path

from server.files.local.leftovers import unmark
from server.files.local.placing import Placement
from server.files.local.space import Space
from server.files.paths import ClientPath
from server.files.reports import REMOVED, NotLanded

SHORT_FILE = 256 * 1024
"""Bytes. A flush of so many is over soon after the record of the hook, or beside it."""


class AtOnce:
    """An `engine.landing.Placing`. The descriptors that `keep` needs are its own: it is called after the OK."""

    def __init__(self, space: Space, path: ClientPath, fd: int, folder: int, placement: Placement) -> None:
        """`fd` is the open file, and `folder` the open folder of the target."""
        self._space = space
        self._path = path
        self._fd = fd
        self._folder = folder
        self._placement = placement
        self._content = b""
        self._open: list[int] = []
        self._failed = False

    def content(self) -> tuple[bytes, int]:
        self._space.flush_folders(self._path)
        self._content = os.pread(self._fd, SHORT_FILE, 0)
        return self._content, os.fstat(self._fd).st_mtime_ns

    def copy(self, path: Path) -> None:
        self._open.append(os.dup(self._fd))
        self._open.append(os.dup(self._folder))
        self._open.append(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        self._placement.link(path)
        self._placement.prepare()
        # The row of a tenant is deleted after its folder is moved, and not now: so the row is this tenant's.
        if self._space.removed:
            raise NotLanded(REMOVED)

    def show(self) -> None:
        self._placement.rename()
        unmark(self._fd)  # a start finds the file in the database

    def keep(self, folders: set[tuple[int, int]]) -> None:
        if not self._open:
            return
        if self._failed:
            # A flush that failed may have lost what the next one does not write again.
            found = os.fstat(self._open[0])
            os.pwrite(self._open[0], self._content, 0)
            os.utime(self._open[0], ns=(found.st_atime_ns, found.st_mtime_ns))
        self._failed = True
        os.fsync(self._open[0])
        for folder in self._open[1:]:
            found = os.fstat(folder)
            if (place := (found.st_dev, found.st_ino)) not in folders:
                os.fsync(folder)
                folders.add(place)
        self._close()

    def undo(self) -> None:
        self._close()
        self._placement.undo()

    def _close(self) -> None:
        self._content = b""
        while self._open:
            os.close(self._open.pop())
