"""Uploads that a killed server left half done: removed, and the hook they were meant for hears that they broke off.

Where an upload to a hook is going is written beside its inode (`user.headcount.upload`) until it arrives; from then
on the queue knows of it. On file systems without extended attributes such an upload is removed without a word.
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
    """The open file `fd` is on its way to `path`, and whoever finds it at a start is to be told so."""
    with suppress(OSError):
        os.setxattr(fd, ATTRIBUTE, path.encode())


def unmark(fd: int) -> None:
    """Whoever waits for it knows of it by now."""
    with suppress(OSError):
        os.removexattr(fd, ATTRIBUTE)


@dataclass(frozen=True, slots=True)
class Leftover:
    """An upload that was under way. `size` is what is there of it, in bytes."""

    path: str
    size: int
    last_written: datetime


async def clear_staging(root: Path, tenant: str, hooks: HookTable) -> int:
    """Empty the staging folder of the tenant at `root`, and tell the hooks what was on its way; how many files left.

    For start-up, before anybody can upload.
    """
    count, left = await asyncio.to_thread(_empty, root / "staging")
    for found in left:
        hook = hooks.begins(found.path)
        if hook is not None:
            upload = Upload(tenant, found.path, found.size, None, found.last_written, "close")
            await hook.aborted(upload, "the server was stopped in the middle of it")
    return count


def _empty(staging: Path) -> tuple[int, list[Leftover]]:
    left = []
    try:
        files = list(staging.iterdir())
    except FileNotFoundError:
        return 0, []
    files = [file for file in files if file.is_symlink() or not file.is_dir()]  # a folder there is not of our making
    for file in files:
        with suppress(OSError):
            path = os.getxattr(file, ATTRIBUTE).decode()
            found = file.stat()
            left.append(Leftover(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)))
        file.unlink()
    return len(files), left
