"""Move a restored state to its place in the data folder, completely or not at all.

Theory. The state is complete in `.restoring`, and its parts are renamed into the data folder one after the other,
headcount.db last. `.restoring` exists until the end, so nothing uses the folder before. After a crash, `clear`
deletes the parts that are there, and the same restore begins again. So that it deletes nothing else, the inodes of
the parts are noted in `.restoring` before the first is moved. The end is one rename of `.restoring`, and so is its
beginning: it always tells whether the restore drops the messages that wait.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ground.files import fsync_folder, replace_file
from server.backup.selecting import HEADCOUNT_DB

RESTORING = ".restoring"
RESTORED = ".restored"
"""The name of RESTORING while it is begun, and at the end, until it is deleted."""

PARTS = ".parts.json"
DROPS = ".drop-owed"
"""The file in RESTORING of a restore that drops the messages that wait."""


def begin(data_dir: Path, *, drop: bool) -> Path:
    """Make an empty `.restoring`, and return its path. Raises OSError."""
    place = data_dir / RESTORED
    place.mkdir(mode=0o700)
    if drop:
        replace_file(place / DROPS, b"")
    return place.rename(data_dir / RESTORING)


def drops(data_dir: Path) -> bool:
    """Return whether the restore that has not ended drops the messages that wait."""
    return os.path.lexists(data_dir / RESTORING / DROPS)


def move(data_dir: Path) -> None:
    """Move all that is in `.restoring` into `data_dir`; it is on disk when this returns. Raises OSError."""
    place = data_dir / RESTORING
    names = sorted(set(os.listdir(place)) - {DROPS}, key=lambda name: name == HEADCOUNT_DB)
    replace_file(place / PARTS, json.dumps({name: (place / name).lstat().st_ino for name in names}).encode())
    for name in names:
        (place / name).rename(data_dir / name)
        fsync_folder(data_dir)
    place.rename(data_dir / RESTORED)
    fsync_folder(data_dir)
    shutil.rmtree(data_dir / RESTORED, ignore_errors=True)


def moved(data_dir: Path) -> list[str]:
    """Return the names in `data_dir` that a restore has moved there and has not ended. Raises OSError."""
    try:
        parts: dict[str, int] = json.loads((data_dir / RESTORING / PARTS).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
    return [name for name, inode in parts.items() if _inode(data_dir / name) == inode]


def clear(data_dir: Path) -> None:
    """Delete what a restore that has not ended left in `data_dir`; nothing if it has ended. Raises OSError."""
    for path in (data_dir / name for name in moved(data_dir)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(data_dir / RESTORED, ignore_errors=True)
    with suppress(FileNotFoundError):
        (data_dir / RESTORING).rename(data_dir / RESTORED)
        shutil.rmtree(data_dir / RESTORED, ignore_errors=True)


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
