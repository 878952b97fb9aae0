"""The access of this process to a file, and the message if it is not enough."""

from __future__ import annotations

import os
from pathlib import Path


def may(path: Path, needed: int) -> bool:
    """Return whether this process has the `needed` access (os.R_OK and so on).

    On a read-only disk, write access is not required.
    """
    if is_on_read_only_disk(path):
        needed &= ~os.W_OK
    return os.access(path, needed, effective_ids=True)


def is_on_read_only_disk(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def no_access(path: Path, why: str | None) -> str:
    return f"{path} cannot be used ({why}); make the user that runs Headcount its owner (chown -R on the folder)"
