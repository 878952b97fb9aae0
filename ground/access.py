"""What this process may do with a file, and what to say if that is not enough."""

from __future__ import annotations

import os
from pathlib import Path


def may(path: Path, needed: int) -> bool:
    """Whether this process may do what is `needed` (os.R_OK and the like), but for a disk that is read-only."""
    if is_on_read_only_disk(path):
        needed &= ~os.W_OK
    return os.access(path, needed, effective_ids=True)


def is_on_read_only_disk(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def not_ours(path: Path, why: str | None) -> str:
    return f"{path} cannot be used ({why}); give it and all beside it to the user that runs Headcount (chown -R)"
