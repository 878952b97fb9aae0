"""The part of backups that knows the databases: views of one moment, copies, checks, and what is still owed.

Everything here blocks, and works beside a running server.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.sqlite.database import BUSY_TIMEOUT_S, VERSION, check_version
from engine.sqlite.faults import translated
from engine.sqlite.unusable import damaged, is_corrupt
from importer.errors import DatabaseUnusable

NEEDED_IMPORTS = (
    "SELECT tenant, id, CASE WHEN state <> 'arriving' AND undo IS NULL THEN size END FROM imports"
    " WHERE state IN ('arriving', 'queued', 'running')"
    " UNION ALL SELECT tenant, id, size FROM imports WHERE state = 'held' AND dry_run = 0"
)
NEEDED_RUNS = (
    "SELECT tenant, id, CASE WHEN state <> 'arriving' THEN size END FROM runs"
    " WHERE state IN ('arriving', 'queued', 'running')"
    " UNION ALL SELECT tenant, id, NULL FROM runs WHERE state = 'failed'"
)
LANDED = (
    "SELECT landed_files.tenant, run_id, landed_files.path, content,"
    " coalesce(state IN ('arriving', 'queued', 'running', 'failed'), 0)"
    " FROM landed_files LEFT JOIN runs ON runs.tenant = landed_files.tenant AND runs.id = run_id ORDER BY run_id"
)
NOT_AGAIN = "DELETE FROM landed_files WHERE tenant = ? AND run_id = ?"
READS_FAIL = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}
NO_ROOM = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
OWED = "SELECT channel, count(*) FROM outbox WHERE state = 'waiting' GROUP BY channel"
DROPPED = "the operator dropped it when a backup was restored"


UNSETTLED_S = 2.0
"""Seconds after a write in which a file may change without a new time."""

Look = tuple[int, int, int, int]
"""The facts of a file that change when it is written or replaced."""


@dataclass(frozen=True, slots=True)
class Known:
    """The facts of a tenant in headcount.db that say which files belong to this moment.

    `imports` and `runs` are those that still need their files, with the size of the one that must be there; None if
    there may be none.
    """

    last_import: int
    last_run: int
    imports: dict[int, int | None] = field(default_factory=dict)
    runs: dict[int, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that landed, and that a start places again with this `content`; `needed`: its run may read its copy."""

    tenant: str
    run_id: int
    path: str
    content: bytes
    needed: bool


@dataclass(frozen=True, slots=True)
class Owed:
    """The numbers of messages that wait to be sent."""

    mails: int = 0
    webhooks: int = 0
    invitations: int = 0


class View:
    """A database as it is at the moment of this call, whatever is written later.

    `kind` is that of `open_database`; None for a database without a schema of these. If another process has locked
    it even for readers, this waits for `patience_s`. Close it soon: until then, SQLite's log of the database grows.
    Raises DatabaseUnusable, TryAgain.
    """

    def __init__(self, path: Path, kind: str | None, patience_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self.rests: Look | None = None
        """The look of a file that was opened without SQLite's files beside it; a copy fails if it has changed."""
        with _translating(path):
            try:
                self._db = _begun(path, patience_s)
            except sqlite3.OperationalError as error:
                self.rests = _look_at_rest(path) if _has_no_room(error) else None
                if not self.rests:
                    raise
                self._db = _begun(path, patience_s, immutable=True)
            try:
                self.version = int(self._db.execute(VERSION).fetchone()[0])
                if kind:
                    check_version(path, kind, self.version)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """End the view."""
        self._db.close()

    def copy(self, target: Path, without: Collection[Landed] = ()) -> None:
        """Write a copy to `target`, a new file, and check it. Not flushed to disk.

        A start from it places no file `without` which it was made.
        Raises DatabaseUnusable if the database is damaged or cannot be read, TryAgain if `target` cannot be written
        or read, OSError.
        """
        with _translating(self._path):
            with closing(sqlite3.connect(target, isolation_level=None)) as copy:
                copy.execute("PRAGMA synchronous=OFF")
                copy.execute("PRAGMA journal_mode=OFF")
                self._copy_to(copy)
                if without:
                    copy.execute("PRAGMA secure_delete=ON")
                    copy.executemany(NOT_AGAIN, [(file.tenant, file.run_id) for file in without])
                    copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing it would tell no failure
            _check(target, self._path, "quick_check(1)")
        if self.rests and self.rests != _look_at_rest(self._path):
            raise DatabaseUnusable(f"{self._path} was changed while it was copied; try again")

    def _copy_to(self, copy: sqlite3.Connection) -> None:
        try:
            self._db.backup(copy)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in READS_FAIL:  # a fault of the copy, which is only written
                raise
            raise DatabaseUnusable(f"{self._path} cannot be read ({error}); its disk may be failing") from error

    def check(self) -> None:
        """Read all of the database, with its references from row to row. Raises DatabaseUnusable, TryAgain."""
        with _translating(self._path):
            (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
            dangling = self._db.execute("PRAGMA foreign_key_check").fetchone() if found == "ok" else None
        if found != "ok":
            raise DatabaseUnusable(damaged(self._path, str(found).splitlines()[-1]))
        if dangling:
            raise DatabaseUnusable(damaged(self._path, f"a row of {dangling[0]} names a row that is missing"))

    def fetch(self, query: str) -> list[Any]:
        """Return the rows of `query`. Raises DatabaseUnusable, TryAgain."""
        with _translating(self._path):
            return self._db.execute(query).fetchall()

    def landed(self) -> list[Landed]:
        """Return the files that a start places again, those of a tenant in the order of their landing."""
        with _translating(self._path):
            found = self._db.execute(LANDED) if _has_table(self._db, "landed_files") else ()
            return [Landed(tenant, run, path, content, bool(needed)) for tenant, run, path, content, needed in found]

    def known(self) -> dict[str, Known]:
        """Return the facts of each tenant. Only for headcount.db."""
        with _translating(self._path):
            return _known(self._db)


@contextmanager
def still(path: Path) -> Iterator[View]:
    """Yield a view of headcount.db, for the caller to close; no process changes it until the block ends.

    Every CLOSE of an upload waits for the end of the block. If the disk has no room for a lock, no server runs, and
    the copy of the view fails if another process has changed it. Raises DatabaseUnusable, TryAgain.
    """
    with _translating(path), closing(_connect(path, "rw")) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            view = View(path, "server")
        except sqlite3.OperationalError:
            view = View(path, "server")
            if not view.rests:
                view.close()
                raise
        try:
            yield view
        except BaseException:
            view.close()
            raise
        finally:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")


def check(path: Path, kind: str) -> None:
    """Read the whole database at `path`, of the `kind` of `open_database`; it is not changed.

    Raises DatabaseUnusable if it is damaged, SchemaTooNew if a newer Headcount wrote it.
    """
    with _translating(path):
        _check(path, path, "integrity_check(1)")
        with closing(_connect(path, "ro", immutable=True)) as db:
            check_version(path, kind, db.execute(VERSION).fetchone()[0])


def facts_of(path: Path) -> dict[str, Known]:
    """Return the facts of each tenant in a headcount.db that no process uses."""
    with _translating(path), closing(_connect(path, "ro", immutable=True)) as db:
        return _known(db)


def owed_by(path: Path) -> Owed:
    """Return the mails and webhooks that wait in a headcount.db that no process uses."""
    with _translating(path), closing(_connect(path, "ro", immutable=True)) as db:
        found = dict(db.execute(OWED).fetchall())
        return Owed(found.get("mail", 0), found.get("webhook", 0))


def invitations_owed_by(path: Path) -> int:
    """Return the number of invitations that wait in a users.db that no process uses."""
    with _translating(path), closing(_connect(path, "ro", immutable=True)) as db:
        return int(db.execute("SELECT count(*) FROM invitations WHERE state = 'waiting'").fetchone()[0])


def drop_owed(path: Path, at: str) -> None:
    """Let no mail or webhook of a headcount.db wait; `at` (RFC 3339) is the time of the drop."""
    _change(
        path,
        "UPDATE outbox SET state = 'dropped', finished_at = ?, error = ? WHERE state = 'waiting'",
        *(at, DROPPED),
    )


def drop_invitations(path: Path) -> None:
    """Let no invitation of a users.db wait."""
    _change(path, "UPDATE invitations SET state = 'given_up', error = ? WHERE state = 'waiting'", DROPPED)


def end_sign_ins(path: Path) -> None:
    """Remove all sessions of browsers and all links from a headcount.db that no process uses."""
    with _translating(path), closing(_connect(path, "rw")) as db:
        for table in ("sign_in_links", "sessions"):
            if _has_table(db, table):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - constants


def _change(path: Path, statement: str, *values: str) -> None:
    with _translating(path), closing(_connect(path, "rw")) as db:
        db.execute(statement, values)
        # The last connection to close it moves all into the file itself.


def _known(db: sqlite3.Connection) -> dict[str, Known]:
    rows = db.execute("SELECT name, last_import_id, last_run_id FROM tenants ORDER BY name")
    found = {name: Known(last_import, last_run) for name, last_import, last_run in rows}
    for tenant, number, size in db.execute(NEEDED_IMPORTS):
        found[tenant].imports[number] = size
    for tenant, number, size in db.execute(NEEDED_RUNS):
        found[tenant].runs[number] = size
    if _has_table(db, "landed_files"):
        for tenant, number in db.execute("SELECT tenant, run_id FROM landed_files"):
            found[tenant].runs[number] = None  # a start places it again
    return found


def _has_table(db: sqlite3.Connection, name: str) -> bool:
    """Return whether the database has this table: an older version may not have made it."""
    return bool(db.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).fetchone())


def _begun(path: Path, patience_s: float, *, immutable: bool = False) -> sqlite3.Connection:
    """Connect, and begin a transaction that sees this moment."""
    db = _connect(path, "ro", immutable=immutable, patience_s=patience_s)
    try:
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _has_no_room(error: sqlite3.Error) -> bool:
    """Return whether SQLite perhaps could not make the files that it needs beside a database to read it."""
    return error.sqlite_errorcode & 0xFF in NO_ROOM


def _look_at_rest(path: Path) -> Look | None:
    """Return the look of a file that has all of its database, and was not changed a moment ago; else None."""
    log = path.with_name(f"{path.name}-wal")
    with suppress(OSError):
        found = path.stat()
        changed = max(found.st_mtime, found.st_ctime)
        if time.time() - changed > UNSETTLED_S and not (log.exists() and log.stat().st_size):
            return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    return None


def _check(path: Path, named: Path, pragma: str) -> None:
    """Check every page of the file at `path`. Raises DatabaseUnusable, in words about `named`, and sqlite3.Error."""
    try:
        with closing(_connect(path, "ro", immutable=True)) as db:
            (found,) = db.execute(f"PRAGMA {pragma}").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        raise DatabaseUnusable(damaged(named, error)) from error
    if found != "ok":
        raise DatabaseUnusable(damaged(named, str(found).splitlines()[-1]))


def _connect(
    path: Path, mode: str, *, immutable: bool = False, patience_s: float = BUSY_TIMEOUT_S
) -> sqlite3.Connection:
    """Connect. An immutable file has no log, and no other process writes it: SQLite makes no files beside it."""
    uri = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience_s, check_same_thread=False)


@contextmanager
def _translating(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise translated(error, path) from error
