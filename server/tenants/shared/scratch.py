"""The folder for working files of one process. It is removed at the end, and after a kill by the next process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "headcount-scratch-"
LOCK = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that only this user can read, among those for temporary files, and remove it at the end."""
    _remove_left()
    root, lock = _made()
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        os.close(lock)


def _made() -> tuple[Path, int]:
    """Return a new folder and its lock, which is held."""
    while True:
        root = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root / LOCK).exists():
            return root, lock
        os.close(lock)  # another process was first, and removed the folder as one that was left


def _remove_left() -> None:
    """Remove the folders of processes that were killed. The kernel released their locks."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # of another user, or just being made
            if left.stat(follow_symlinks=False).st_uid != os.geteuid():
                continue
            lock = os.open(left / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
