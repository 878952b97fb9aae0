"""Builds the search index of a tenant's users, search.db, and brings it up to date; search.py uses it.

The index has no data of its own: it may be removed at any time. These functions block: call them in a thread, one at
a time for a tenant. They read users.db without blocking others, in short steps, each a transaction of search.db. A
user who changes meanwhile comes later in the log, so the steps need no common moment.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from engine.sqlite.faults import as_try_again
from engine.sqlite.tenant.search import FORMAT, TABLE, TAKE_IN, discard, discard_if_broken
from importer.folder import TenantFolder
from importer.users import search

STEP = 5000
"""The number of users that one transaction puts into the index."""

STATE = """
    CREATE TABLE state (
        one         INTEGER PRIMARY KEY CHECK (one = 1),
        format      INTEGER NOT NULL,
        -- The newest row of search_log that was followed, and the highest id of a user that was passed.
        seq         INTEGER NOT NULL,
        nonce       INTEGER NOT NULL,
        highest     INTEGER NOT NULL,
        -- How many users are in either state; NULL while that is not known.
        active      INTEGER,
        deactivated INTEGER
    )"""
OF_THESE_USERS = """
    SELECT 1 FROM main.state AS i JOIN tenant.search_log AS l ON l.seq = i.seq AND l.nonce = i.nonce
    WHERE i.format = ?"""
NEXT_NEW = """
    SELECT max(id), count(*) FROM (
        SELECT id FROM tenant.users WHERE id > (SELECT highest FROM main.state) ORDER BY id LIMIT ?)"""
NEXT_CHANGED = """
    SELECT seq, nonce, user_id FROM tenant.search_log
    WHERE seq > (SELECT seq FROM main.state) ORDER BY seq LIMIT ?"""
TAKE_IN_NEW = TAKE_IN.format(
    name="main.people", users="tenant.users", which="id > (SELECT highest FROM main.state) AND id <= ?"
)
TAKE_IN_CHANGED = TAKE_IN.format(
    name="main.people",
    users="tenant.users",
    which="id IN (SELECT value FROM json_each(?)) AND id <= (SELECT highest FROM main.state)",
)
UP_TO_DATE = """
    NOT EXISTS (SELECT 1 FROM tenant.search_log WHERE seq > state.seq)
    AND NOT EXISTS (SELECT 1 FROM tenant.users WHERE id > state.highest)"""
COUNT = f"""
    UPDATE main.state SET deactivated = (SELECT count(*) FROM tenant.users WHERE state = 'deactivated'),
        active = (SELECT count(*) FROM tenant.users)
            - (SELECT count(*) FROM tenant.users WHERE state = 'deactivated')
    WHERE active IS NULL AND {UP_TO_DATE}"""  # noqa: S608 - constants

TRIM = "DELETE FROM search_log WHERE seq IN (SELECT seq FROM search_log WHERE seq < ? ORDER BY seq LIMIT ?)"


def catch_up(folder: TenantFolder, stopping: Callable[[], bool] = lambda: False) -> int:
    """Bring the index up to date, or build it. Return how much was done: users indexed, log rows followed.

    Few users have no index (importer.users.search), and an existing one is removed: only the log is kept short. It
    ends early when `stopping` returns true; the next call does the rest. Raises sqlite3.Error and OSError, also then.
    """
    if is_of_few(folder):
        discard(folder.search_db)
        _trim_log(folder, None, stopping)
        return 0
    try:
        done, seen = _catch_up(folder, stopping)
    except sqlite3.DatabaseError as error:
        if not discard_if_broken(folder.search_db, error):
            raise
        done, seen = _catch_up(folder, stopping)
    _trim_log(folder, seen, stopping)
    return done


def is_of_few(folder: TenantFolder) -> bool:
    """Return whether the users are so few that they need no index."""
    with closing(sqlite3.connect(f"{folder.users_db.absolute().as_uri()}?mode=ro", uri=True)) as db:
        (count,) = db.execute("SELECT count(*) FROM (SELECT 1 FROM users LIMIT ?)", (search.FEW + 1,)).fetchone()
    return int(count) <= search.FEW


def _catch_up(folder: TenantFolder, stopping: Callable[[], bool]) -> tuple[int, int]:
    """Return how much was done, and up to which row the log was followed."""
    done = 0
    with closing(_open(folder)) as db:
        if not _is_of_these_users(db):
            _begin_anew(db)
        while not stopping() and (step := _index_new(db) or _follow_log(db)):
            done += step
        with _transaction(db):
            db.execute(COUNT)
        return done, db.execute("SELECT coalesce(max(seq), 0) FROM main.state").fetchone()[0]


def _open(folder: TenantFolder) -> sqlite3.Connection:
    """Open search.db, with users.db attached for reading."""
    os.close(os.open(folder.search_db, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(folder.search_db.absolute().as_uri(), uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")  # what a power cut loses is detected, and built again
        db.execute("ATTACH ? AS tenant", (f"{folder.users_db.absolute().as_uri()}?mode=ro",))
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    with db:
        yield


def _is_of_these_users(db: sqlite3.Connection) -> bool:
    """Return whether there is an index of this format that was built from this users.db, not from another copy."""
    if not db.execute("SELECT 1 FROM main.sqlite_schema WHERE name = 'state'").fetchone():
        return False
    return db.execute(OF_THESE_USERS, (FORMAT,)).fetchone() is not None


def _begin_anew(db: sqlite3.Connection) -> None:
    with _transaction(db):
        for table in ("state", "people"):
            db.execute(f"DROP TABLE IF EXISTS main.{table}")
        db.execute(STATE)
        db.execute(TABLE.format(name="main.people"))
        db.execute(
            "INSERT INTO main.state (one, format, seq, nonce, highest)"
            " SELECT 1, ?, seq, nonce, 0 FROM tenant.search_log ORDER BY seq DESC LIMIT 1",
            (FORMAT,),
        )


def _index_new(db: sqlite3.Connection) -> int:
    """Index the next users above those that are indexed; return how many there were."""
    with _transaction(db):
        highest, count = db.execute(NEXT_NEW, (STEP,)).fetchone()
        if count:
            db.execute(TAKE_IN_NEW, (highest,))
            db.execute("UPDATE main.state SET highest = ?, active = NULL", (highest,))
        return int(count)


def _follow_log(db: sqlite3.Connection) -> int:
    """Index the users in the next rows of the log again; return how many rows there were."""
    with _transaction(db):
        rows = db.execute(NEXT_CHANGED, (STEP,)).fetchall()
        if rows:
            changed = json.dumps(sorted({row[2] for row in rows if row[2] is not None}))
            db.execute("DELETE FROM main.people WHERE rowid IN (SELECT value FROM json_each(?))", (changed,))
            db.execute(TAKE_IN_CHANGED, (changed,))
            # SQLite may reuse the highest id after a user was removed.
            db.execute(
                "UPDATE main.state SET seq = ?, nonce = ?, active = NULL,"
                " highest = min(highest, (SELECT coalesce(max(id), 0) FROM tenant.users))",
                rows[-1][:2],
            )
        return len(rows)


def _trim_log(folder: TenantFolder, seen: int | None, stopping: Callable[[], bool]) -> None:
    """Delete the log rows before `seen` (None: before the newest), unless users.db is locked.

    It may be locked by a writer, or by the process that closes it last; then the next call does it.
    """
    try:
        with closing(sqlite3.connect(f"{folder.users_db.absolute().as_uri()}?mode=rw", uri=True, timeout=0)) as db:
            db.isolation_level = None
            if seen is None:
                (seen,) = db.execute("SELECT coalesce(max(seq), 0) FROM search_log").fetchone()
            while not stopping() and db.execute("SELECT 1 FROM search_log WHERE seq < ? LIMIT 1", (seen,)).fetchone():
                db.execute(TRIM, (seen, STEP))
    except sqlite3.OperationalError as error:
        if as_try_again(error) is error:
            raise
