"""Whether the disk of the data folder takes what has to be written, looked at every two seconds; and a reserve on it.

SQLite opens no database without room for the files beside it. So the reserve, a file of a few megabytes that is made
while there is room, is given up by a start that finds the disk full: that start has room for what it must write, and
for little more. It is made again when there is room. Uploads and imports wait meanwhile, downloads go on.
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
from typing import TypeVar

from importer.errors import TryAgain
from server.rounds import again, set_within
from server.trouble import Trouble

log = logging.getLogger(__name__)

T = TypeVar("T")

RESERVE_BYTES = 4 * 1024**2
"""SQLite's files beside headcount.db and a users.db, with some room to grow."""

FREE_BYTES = 1024**2
"""With less free the disk counts as full."""

FREE_FILES = 16
LOOK_S = 2.0
CHANGE_S = 10.0
"""Between two changes that try whether the disk takes one, while it does."""

NO_ROOM = {"disk_full", "disk_error"}
"""Codes of `TryAgain` for a disk that takes nothing."""

FULL = "the disk of the server is full"
READ_ONLY = "the disk of the server is read-only"


@dataclass(frozen=True, slots=True)
class Free:
    """What a disk has for this user. `files` is None where their number is not bounded."""

    size: int
    files: int | None = None
    read_only: bool = False


def why_no_room(free: Free, *, reserved: bool) -> str | None:
    """Return why nothing can be stored, None if it can be. `reserved`: there is a reserve beside what is free."""
    if free.read_only:
        return READ_ONLY
    least = FREE_BYTES if reserved else FREE_BYTES + RESERVE_BYTES
    return FULL if free.size < least or (free.files is not None and free.files < FREE_FILES) else None


def free_at(folder: Path) -> Free:
    """Look how much the disk has on which `folder` is. Raises OSError."""
    found = os.statvfs(folder)
    blocks = found.f_bavail if os.geteuid() else found.f_bfree
    files = (found.f_favail if os.geteuid() else found.f_ffree) if found.f_files else None
    return Free(blocks * found.f_frsize, files, bool(found.f_flag & os.ST_RDONLY))


class Room:
    """The room in the data folder. Looks between `start()` and `stop()`; `begin()` comes before both, and blocks."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._reserve = data_dir / "headcount.reserve"
        self._why: str | None = None
        self._change_due_at = 0.0
        self._trouble = Trouble(log, "Looking at the disk fails", {"event": "disk_unseen"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def why(self) -> str | None:
        """Return why nothing can be stored, as of the last look; None if it can be."""
        return self._why

    async def check(self) -> bool:
        """Raise TryAgain if nothing can be stored; else return True."""
        if self._why:
            raise TryAgain("disk_full" if self._why == FULL else "disk_error", self._why)
        return True

    def begin(self) -> None:
        """Make the reserve, or give it up if the disk is full: before any database is opened."""
        try:
            free = free_at(self._data_dir)
            if why_no_room(free, reserved=True) == FULL and self._reserve.exists():
                self._reserve.unlink()
                log.warning("The disk is full; the reserve is given up.", extra={"event": "reserve_given_up"})
        except OSError as error:
            log.warning("The disk cannot be looked at: %s.", error.strerror, extra={"event": "disk_unseen"})
        self.look()

    async def insist(self, work: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
        """Do `work`, with as many tries as it takes until the disk has room for it. None if `stop` is set before."""
        told = False
        while not stop.is_set():
            try:
                return await work()
            except TryAgain as error:
                if error.code not in NO_ROOM or not self._why:
                    raise
                if not told:
                    log.error("The server cannot start: %s; retrying.", error.message, extra={"event": "start_waits"})
                told = True
            if not await set_within(stop, LOOK_S):
                self.begin()
        return None

    def start(self) -> None:
        self._task = asyncio.create_task(again(self._round, self._unseen, self._ending), name="room")

    async def stop(self) -> None:
        """Look no more."""
        self._ending.set()
        if self._task:
            await asyncio.wait([self._task])

    def look(self) -> None:
        """Look now, and make the reserve if it is missing and there is room for it. Raises nothing."""
        try:
            self._change()
            why = why_no_room(free_at(self._data_dir), reserved=self._reserve.exists())
            if not why and not self._reserve.exists():
                self._make_reserve()
        except OSError as error:
            known = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY}
            why = known.get(error.errno or 0, f"the disk of the server fails ({error.strerror})")
        if why and why != self._why:
            log.error(
                "No uploads and imports: %s (%s); retrying.", why, self._data_dir, extra={"event": "disk_unusable"}
            )
        elif self._why and not why:
            log.info("The disk can be used again.", extra={"event": "disk_usable"})
        self._why = why

    def _change(self) -> None:
        """Change something small. A file system that a fault made read-only may say so only then."""
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
