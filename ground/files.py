"""Replace a small file as a whole, and make a folder durable: after a crash there is the old file or the new one.

Also: a second name of a file, how a file looks from outside, and the lock of a folder.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

NEW = ".new"
"""The suffix of a file that is being written. Callers make sure that only one writer uses it at a time."""

LOCKED_S = 0.02
"""Seconds between two looks at a locked folder."""


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace the file at `path` by `content`; content and name are on disk when this returns."""
    new = path.with_name(path.name + NEW)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Flush the names in the folder at `path` to disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def link(source: Path | bytes, target: Path, folder: int | None = None) -> None:
    """Give a file the second name `target`, in a folder that is made if it is missing. The name is on disk on return.

    `source` is a path, or a name in the open `folder`. Raises OSError.
    """
    target.parent.mkdir(mode=0o700, exist_ok=True)
    os.link(source, target, src_dir_fd=folder, follow_symlinks=False)
    fsync_folder(target.parent)


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Raise an OSError that names no file with the name `place`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = place
        raise


def found_at(path: str) -> os.stat_result | None:
    """Return what is at `path`; None if that cannot be read."""
    try:
        return os.stat(path)
    except OSError:
        return None


def look_of(found: os.stat_result) -> tuple[int, ...]:
    """Return the facts that change when a file is replaced, written or given to another owner."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid


@asynccontextmanager
async def locked(folder: Path) -> AsyncIterator[None]:
    """Hold the lock of a folder in the block: other blocks with it wait, in all processes. A crash releases it.

    A folder that does not exist cannot be locked, and the block begins at once. Raises OSError.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        while not _taken(lock):  # noqa: ASYNC110 - no event tells of other processes
            await asyncio.sleep(LOCKED_S)
        yield
    finally:
        os.close(lock)


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
