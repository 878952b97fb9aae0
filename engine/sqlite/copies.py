"""The copy of a database that is made before its schema is upgraded. An older version can use it."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import sqlite3
from pathlib import Path

import aiosqlite

from ground.files import fsync_folder
from importer.errors import TryAgain

FULL = {errno.ENOSPC, errno.EDQUOT}


def copy_before(path: Path, version: int) -> Path:
    """Return the path of the copy that is made of the database at `path` before its schema `version` is migrated."""
    return path.with_name(f"{path.name}.schema-{version}")


async def keep_copy(db: aiosqlite.Connection, path: Path, version: int) -> None:
    """Copy the complete database, which is on disk when this returns, in place of an older such copy.

    Raises TryAgain if the disk has no space for it.
    """
    copy = copy_before(path, version)
    making = copy.with_name(f"{copy.name}.{secrets.token_hex(8)}")
    try:
        await db.execute("VACUUM INTO ?", (str(making),))
        await asyncio.to_thread(_make_durable, making, copy)
    except (OSError, sqlite3.OperationalError) as error:
        if getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise TryAgain(
                "disk_full",
                f"the disk has no space to copy {path} before its upgrade; free as much space as it has",
            ) from error
        raise
    finally:
        making.unlink(missing_ok=True)


def _make_durable(making: Path, copy: Path) -> None:
    making.chmod(0o600)
    with making.open("rb") as file:
        os.fsync(file.fileno())
    making.rename(copy)
    fsync_folder(copy.parent)
