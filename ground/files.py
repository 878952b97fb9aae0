"""How a small file is replaced whole, and a folder made durable: after a crash there is the old, or the new.

And how a file looks from outside.
"""

from __future__ import annotations

import os
from pathlib import Path

NEW = ".new"
"""What a file being written ends in. Only one at a time may write it: the callers see to that."""


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` at `path`; on disk, with its name, when this returns."""
    new = path.with_name(path.name + NEW)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """The names in the folder at `path` are on disk when this returns."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def found_at(path: str) -> os.stat_result | None:
    """What is at `path`; None where that cannot be known."""
    try:
        return os.stat(path)
    except OSError:
        return None


def look_of(found: os.stat_result) -> tuple[int, ...]:
    """Return what differs once a file is replaced, written or given to another user."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode, found.st_uid
