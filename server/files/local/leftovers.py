"""Unfinished uploads of a killed server: remove them, and report them as interrupted to their hooks.

Until an upload to a hook has a row in the queue, its path is stored in an extended attribute of its inode
(`user.headcount.upload`). On file systems without extended attributes such an upload is removed silently.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from server.files.hooks import HookTable, Upload

ATTRIBUTE = "user.headcount.upload"


def mark(fd: int, path: str) -> None:
    """Mark the open file `fd` as an upload to `path`, for `clear_staging` at the next start."""
    with suppress(OSError):
        os.setxattr(fd, ATTRIBUTE, path.encode())


def unmark(file: int | Path) -> None:
    """Remove the mark: the queue has a row for the upload, or it is not for a hook."""
    with suppress(OSError):
        os.removexattr(file, ATTRIBUTE)


def marked_path(file: Path) -> str:
    """Return the path in the mark of `file`. Raises OSError if it has none."""
    return os.getxattr(file, ATTRIBUTE, follow_symlinks=False).decode()


@dataclass(frozen=True, slots=True)
class Leftover:
    """An unfinished upload. `size` is in bytes, as far as it was received."""

    path: str
    size: int
    last_written: datetime


async def clear_staging(root: Path, tenant: str, hooks: HookTable) -> int:
    """Empty the staging folder of the tenant at `root`, report its uploads to the hooks, and return the file count.

    Call it at start-up, before a client can upload.
    """
    count, left = await asyncio.to_thread(_empty, root / "staging")
    for found in left:
        hook = hooks.of(tenant).begins(found.path)
        if hook is not None:
            upload = Upload(tenant, found.path, found.size, None, found.last_written, "close")
            await hook.aborted(upload, "the server stopped during the upload")
    return count


def _empty(staging: Path) -> tuple[int, list[Leftover]]:
    left = []
    try:
        files = list(staging.iterdir())
    except FileNotFoundError:
        return 0, []
    files = [file for file in files if file.is_symlink() or not file.is_dir()]  # Headcount makes no folders there
    for file in files:
        with suppress(OSError):
            path = marked_path(file)
            found = file.stat()
            left.append(Leftover(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)))
        file.unlink()
    return len(files), left
