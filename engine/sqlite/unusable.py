"""Explain why a database cannot be used, from SQLite's error and the file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ground.access import may, no_access

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
SHUT = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


def is_corrupt(error: sqlite3.Error) -> bool:
    """Return whether `error` is about the content of the database, not about its file or the disk."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether `error` means that the database cannot be used, whatever the statement was."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED | SHUT


def in_words(path: Path, error: sqlite3.Error) -> str | None:
    """Return what is wrong with the database at `path`, which raised `error`, and what to do.

    None if the file is fine: then the cause is elsewhere, such as a full disk.
    """
    if is_corrupt(error):
        return damaged(path, error)
    return shut(path)


def damaged(path: Path, why: object) -> str:
    return f"{path} is damaged ({why}); move it and {path.name}-wal away and restore it from a backup"


def restore(path: Path) -> str:
    """Return what to do about a lost database. SQLite would play the log of the lost one into the restored one."""
    log = f"{path.name}-wal"
    return f"{f'move {log} away and ' if os.path.exists(path.with_name(log)) else ''}restore it from a backup"


def shut(path: Path) -> str | None:
    """Return why the file at `path` cannot be opened for reading and writing; None if it can."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return f"{path} is missing; {restore(path)}"
    except OSError as error:
        return no_access(path, error.strerror)
    if not os.path.isfile(path):
        return f"{path} is not a file; move it away and restore the file from a backup"
    if found.st_size == 0:
        return f"{path} is empty; {restore(path)}"
    for each, needed in ((path, os.R_OK | os.W_OK), (path.parent, os.R_OK | os.W_OK | os.X_OK)):
        if not may(each, needed):
            return no_access(each, "Permission denied")
    return None
