"""The mark of the newest complete backup: `headcount backup` writes it into the data folder, and the server reads it.

The server may not be allowed to read the folder of the backup. No backup has the mark: what is restored has none yet.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ground.files import fsync_folder
from ground.moments import from_rfc3339, rfc3339, utc_now
from server.backup.selecting import NEWEST


def note_newest(data_dir: Path, made_at: datetime) -> str | None:
    """Write the mark; return why that failed, or None. It is on disk when this returns.

    All marks are equally long, and each is written over the previous one: so a full disk has space for it.
    The mark of a backup that began later stays, unless it is of the future, which a clock that was wrong may write.
    """
    if made_at.timestamp() < newest_backup(data_dir) <= utc_now().timestamp():
        return None
    try:
        new = not (path := data_dir / NEWEST).exists()
        mark = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(mark, os.pwrite(mark, f"{rfc3339(made_at)}\n".encode(), 0))
            os.fsync(mark)
        finally:
            os.close(mark)
        if new:
            fsync_folder(data_dir)
    except OSError as error:
        return error.strerror or str(error)
    return None


def newest_backup(data_dir: Path) -> float:
    """Return when the newest complete backup began, in seconds since 1970; 0 if none is known. It reads one line."""
    with suppress(OSError, ValueError):
        return from_rfc3339((data_dir / NEWEST).read_text(encoding="ascii").strip()).timestamp()
    return 0.0
