"""Translate SQLite errors into the exceptions of importer.errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiosqlite

from engine.sqlite.unusable import damaged, in_words, is_damage
from ground.access import is_on_read_only_disk
from importer.errors import DatabaseDamaged, DatabaseFault, DatabaseUnusable, TryAgain

FULL_OR_BUSY = {
    sqlite3.SQLITE_FULL: ("disk_full", "the disk is full"),
    sqlite3.SQLITE_IOERR: ("disk_error", "the disk could not be read or written"),
    # It could not write the index of the log: the disk is read-only, or too many processes open the database at once.
    sqlite3.SQLITE_PROTOCOL: ("disk_error", "the disk could not be read or written"),
    sqlite3.SQLITE_READONLY: ("disk_error", "the database is read-only for the server"),
    sqlite3.SQLITE_BUSY: ("database_busy", "another process holds the database"),
}


def as_try_again(error: Exception) -> Exception:
    """Return TryAgain if `error` is a full disk or a busy database, otherwise `error` itself."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in FULL_OR_BUSY:
        return TryAgain(*FULL_OR_BUSY[code])
    return error


def translated(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Map an error of the database at `path` to TryAgain, DatabaseUnusable or else DatabaseFault."""
    meant = as_try_again(error)
    if meant is not error:
        return meant
    if not is_damage(error):
        return DatabaseFault(f"the database cannot be used: {error}")
    if why := in_words(path, error):
        return DatabaseUnusable(why)
    if is_on_read_only_disk(path):
        return TryAgain("disk_error", "the disk of the server is read-only")
    # The file itself can be opened: SQLite could not create the files it needs beside it (disk, descriptors).
    return TryAgain(*FULL_OR_BUSY[sqlite3.SQLITE_IOERR])


def translated_read(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Map an error of a right statement that reads the database at `path` to TryAgain or DatabaseUnusable.

    An error of which SQLite says no more is damage then, such as a file whose format it does not know.
    """
    meant = translated(error, path)
    return DatabaseUnusable(damaged(path, error)) if isinstance(meant, DatabaseFault) else meant


@contextmanager
def translating() -> Iterator[None]:
    """Raise SQLite errors in the block as TryAgain or DatabaseDamaged if they are that, else as DatabaseFault.

    For an open users.db.
    """
    try:
        yield
    except sqlite3.Error as error:
        meant = as_try_again(error)
        if meant is not error:
            raise meant from error
        if is_damage(error):
            raise DatabaseDamaged(f"the database cannot be used: {error}") from error
        raise DatabaseFault(f"the database cannot be used: {error}") from error


async def fetch(
    db: aiosqlite.Connection, query: str, values: Sequence[object] | Mapping[str, object] = ()
) -> list[sqlite3.Row]:
    """Return all rows of `query`. Raises as `translating` does."""
    with translating():
        return list(await db.execute_fetchall(query, values))
