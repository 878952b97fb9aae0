"""The disk of the data folder: checked every two seconds, with a reserve file for a start on a full disk.

SQLite opens a database only if the disk has space for its companion files. The server therefore writes a reserve of
4 MiB while the disk has space. A start that finds the disk full deletes it, and has just enough space to start. The
server writes the reserve again when the disk has space. Meanwhile uploads and imports wait, and downloads continue.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from importer.errors import TryAgain
from server.rounds import again, set_within
from server.trouble import Trouble

log = logging.getLogger(__name__)

T = TypeVar("T")

RESERVE_BYTES = 4 * 1024**2
"""Enough for SQLite's companion files of headcount.db and one users.db, which grow a little."""

FREE_BYTES = 1024**2
"""With fewer free bytes the disk counts as full."""

FREE_FILES = 16
"""With fewer free files (inodes) the disk counts as full."""

LOOK_S = 2.0
CHANGE_S = 10.0
"""Seconds between two test writes while the disk works."""

DISK_CODES = {"disk_full", "disk_error"}
"""Codes of `TryAgain` for a disk that cannot be written."""

FULL = "the disk of the server is full"
READ_ONLY = "the disk of the server is read-only"


@dataclass(frozen=True, slots=True)
class Free:
    """The free space of a disk for this user. `files` is None if the file system does not limit their number.

    `of` is the size of the disk.
    """

    size: int
    files: int | None = None
    read_only: bool = False
    of: int = 0


def why_disk_unusable(free: Free, *, reserved: bool) -> str | None:
    """Return why nothing can be stored, or None. `reserved`: the reserve exists, beside the free space."""
    if free.read_only:
        return READ_ONLY
    least = FREE_BYTES if reserved else FREE_BYTES + RESERVE_BYTES
    return FULL if free.size < least or (free.files is not None and free.files < FREE_FILES) else None


def free_at(folder: Path) -> Free:
    """Return what the disk of `folder` has free. Raises OSError."""
    found = os.statvfs(folder)
    blocks = found.f_bavail if os.geteuid() else found.f_bfree
    files = (found.f_favail if os.geteuid() else found.f_ffree) if found.f_files else None
    return Free(blocks * found.f_frsize, files, bool(found.f_flag & os.ST_RDONLY), found.f_blocks * found.f_frsize)


class Disk(Protocol):
    """The disk that the server needs. It is checked between `start()` and `stop()`."""

    free: Free
    """The free space, as of the newest check."""

    def why(self) -> str | None:
        """Return why nothing can be stored, as of the newest check; None if it can be."""

    async def check(self) -> bool:
        """Return True. Raises TryAgain if nothing can be stored."""

    async def insist(self, work: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
        """Run `work` until the disk has space for it; return its result, or None if `stop` is set before."""

    def start(self) -> None: ...

    async def stop(self) -> None: ...


class DataDisk:
    """The disk of the data folder. Call `begin()` first (it blocks); it is checked between `start()` and `stop()`."""

    def __init__(self, data_dir: Path, *, is_own: bool = True) -> None:
        """A disk that is not `is_own` gets no file: no database is on it, only a folder for temporary files."""
        self._data_dir = data_dir
        self._is_own = is_own
        self._reserve = data_dir / "headcount.reserve"
        self.free = Free(0)
        """The free space, as of the newest check."""
        self._why: str | None = None
        self._change_due_at = 0.0
        self._trouble = Trouble(log, "The check of the disk failed", {"event": "disk_unseen"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def why(self) -> str | None:
        """Return why nothing can be stored, as of the newest check; None if it can be."""
        return self._why

    async def check(self) -> bool:
        """Return True. Raises TryAgain if nothing can be stored."""
        if self._why:
            raise TryAgain("disk_full" if self._why == FULL else "disk_error", self._why)
        return True

    def begin(self) -> None:
        """Write the reserve, or delete it if the disk is full. Call it before a database is opened."""
        try:
            free = free_at(self._data_dir)
            if why_disk_unusable(free, reserved=True) == FULL and self._reserve.exists():
                self._reserve.unlink()
                log.warning(
                    "The disk is full: headcount.reserve was deleted for this start.",
                    extra={"event": "reserve_given_up"},
                )
        except OSError as error:
            log.warning("The disk cannot be checked: %s; retrying.", error.strerror, extra={"event": "disk_unseen"})
        self.look()

    async def insist(self, work: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
        """Run `work` until the disk has space for it; return its result, or None if `stop` is set before."""
        logged = False
        while not stop.is_set():
            try:
                return await work()
            except TryAgain as error:
                if error.code not in DISK_CODES or not self._why:
                    raise
                if not logged:
                    log.error("The server cannot start: %s; retrying.", error.message, extra={"event": "start_waits"})
                logged = True
            if not await set_within(stop, LOOK_S):
                self.begin()
        return None

    def start(self) -> None:
        self._task = asyncio.create_task(again(self._round, self._unseen, self._ending), name="room")

    async def stop(self) -> None:
        """End the checks."""
        self._ending.set()
        if self._task:
            await asyncio.wait([self._task])

    def look(self) -> None:
        """Check now, and write the reserve if it is missing and fits. Raises nothing."""
        try:
            if self._is_own:
                self._change()
            self.free = free_at(self._data_dir)
            reserved = not self._is_own or self._reserve.exists()
            why = why_disk_unusable(self.free, reserved=reserved)
            if not why and not reserved:
                self._make_reserve()
        except OSError as error:
            known = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY}
            why = known.get(error.errno or 0, f"the disk of the server fails ({error.strerror})")
        if why and why != self._why:
            log.error(
                "Uploads and imports wait: %s (%s); retrying.", why, self._data_dir, extra={"event": "disk_unusable"}
            )
        elif self._why and not why:
            log.info("The disk is usable again.", extra={"event": "disk_usable"})
        self._why = why

    def _change(self) -> None:
        """Write something small: a file system that became read-only may report it only on a write."""
        now = time.monotonic()
        if self._why or now >= self._change_due_at:
            os.utime(self._data_dir / "headcount.lock")
            self._change_due_at = now + CHANGE_S

    def _make_reserve(self) -> None:
        new = self._reserve.with_name(f"{self._reserve.name}.new")
        try:
            with new.open("wb") as file:
                file.write(os.urandom(RESERVE_BYTES))  # zeros might be compressed to nothing
                os.fsync(file.fileno())
            new.rename(self._reserve)
        except OSError:
            new.unlink(missing_ok=True)
            raise

    async def _round(self) -> float:
        await asyncio.to_thread(self.look)
        return LOOK_S

    def _unseen(self, error: Exception) -> float:
        self._trouble.met(error)
        return LOOK_S
