"""The copy of a database that is made before its schema is upgraded. An older version can use it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from ground.files import fsync_folder
from importer.errors import TryAgain

FULL = {errno.ENOSPC, errno.EDQUOT}


def copy_before(path: Path, version: int) -> Path:
    """Return the path of the copy that is made of the database at `path` before its schema `version` is migrated."""
    return path.with_name(f"{path.name}.schema-{version}")


def keep_copy(path: Path, version: int) -> None:
    """Copy the complete database, which is on disk when this returns, in place of an older such copy. Blocks.

    The caller holds the database's write lock, so that only one process copies at a time. Raises TryAgain if the disk
    has no space for the copy.
    """
    copy = copy_before(path, version)
    making = copy.with_name(f"{copy.name}.making")  # a killed process may have left one
    try:
        _check_space(path)
        _copy(path, making)
        making.rename(copy)
        fsync_folder(copy.parent)
    except (OSError, sqlite3.OperationalError) as error:
        if getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise TryAgain(
                "disk_full",
                f"the disk has no space to copy {path} before its upgrade; free as much space as it has",
            ) from error
        raise
    finally:
        making.unlink(missing_ok=True)


def _check_space(path: Path) -> None:
    """Check that the disk has as much space as the database, so that the copy does not fill it. Raises OSError."""
    parts = (path, path.with_name(f"{path.name}-wal"))
    if shutil.disk_usage(path.parent).free < sum(part.stat().st_size for part in parts if part.exists()):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _copy(path: Path, making: Path) -> None:
    with open(making, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
            db.execute("VACUUM INTO ?", (str(making),))
        os.fsync(file.fileno())
