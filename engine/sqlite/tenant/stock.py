"""The facts of a users.db that periodic tasks and metrics need, and whether all of it can be read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from engine.sqlite.database import check_version
from engine.sqlite.faults import translated_read, translating
from engine.sqlite.tenant.settings import SELECT
from engine.sqlite.unusable import damaged
from importer.errors import DatabaseUnusable
from importer.users.users import Stock

COUNTS = """
    SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM users WHERE state = 'deactivated'),
        EXISTS (SELECT 1 FROM invitations WHERE state = 'waiting'),
        (SELECT coalesce(max(seq), 0) FROM search_log) - (SELECT coalesce(min(seq), 0) FROM search_log)"""


def take_stock(database: Path, timeout_s: float) -> Stock:
    """Return the stock of the users.db at `database`, whose schema is up to date; blocks."""
    where = f"{database.absolute().as_uri()}?mode=ro"
    with translating(), closing(sqlite3.connect(where, uri=True, timeout=timeout_s)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        check_version(database, "tenant", version)
        total, deactivated, inviting, logged = db.execute(COUNTS).fetchone()
        return Stock(total - deactivated, deactivated, bool(inviting), logged, dict(db.execute(SELECT)))


def read_all(database: Path) -> None:
    """Read every page of the users.db at `database`; blocks.

    Raises DatabaseUnusable unless all are sound, and TryAgain if they cannot be read now: another process holds them,
    or SQLite cannot create the files that it needs beside them on a full or read-only disk.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise translated_read(error, database) from error
    if found != "ok":
        raise DatabaseUnusable(damaged(database, str(found).splitlines()[-1]))
