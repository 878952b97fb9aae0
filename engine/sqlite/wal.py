"""SQLite's log of a database, the file beside it that has what was committed last: how it comes to the disk.

A flush that failed may have lost what it was to write, and the next one succeeds without that. After a power cut, a
start reads the log up to such a loss: all that was committed later is lost, although it was flushed. So the log is
written again before the next commit. It is not moved into the database for that: any reader may prevent it. And until
the log begins anew, a power cut lets a start read its older pages over the newer ones of the database: it is damaged.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

PIECE = 1024 * 1024
"""Bytes that are written again at once."""

_lost: set[str] = set()
"""The databases whose logs the disk may have lost in part. All connections of this process know of them."""


def flush_log(path: Path) -> None:
    """Bring to the disk what was committed without that in the database at `path`. Blocks. Raises OSError.

    Statements of SQLite flush its log only with a change. It holds no lock on the file of the log, so closing another
    descriptor of it is safe.
    """
    try:
        log_file = os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # all of it is in the database
    try:
        os.fdatasync(log_file)
    finally:
        os.close(log_file)


def not_flushed(error: sqlite3.OperationalError) -> bool:
    """Return whether a commit failed because the log could not be flushed.

    Then the disk may also have lost earlier transactions, which did not wait for it.
    """
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC


def lose_log(path: Path | str) -> None:
    """Note that the disk may have lost a part of the log of the database at `path`: `mend_log` writes it again."""
    _lost.add(os.path.realpath(path))


def log_is_lost() -> bool:
    """Return whether that holds for any database."""
    return bool(_lost)


def mend_log(connection: sqlite3.Connection) -> None:
    """Write the log again if the disk may have lost a part of it, and flush it. Blocks.

    Call it in the connection's thread, outside of a transaction. Raises sqlite3.OperationalError: then call it again.
    """
    if not _lost or (path := file_of(connection)) not in _lost:
        return
    connection.execute("BEGIN IMMEDIATE")  # now no other connection writes to the log, or begins it anew
    try:
        # It writes the same page again, behind all that was committed: what a commit that failed left there is gone.
        ((version,),) = connection.execute("PRAGMA user_version").fetchall()
        connection.execute(f"PRAGMA user_version={version}")
        write_again(path)
        connection.execute("COMMIT")
    except OSError as error:
        raise _in_sqlite(error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    _lost.discard(path)


def mend_log_of_commit(connection: sqlite3.Connection) -> None:
    """Do as `mend_log` after a commit that could not be flushed. Raises nothing: the next commit tries again."""
    with suppress(sqlite3.Error):
        lose_log(file_of(connection))
        mend_log(connection)


def mend_log_at_start(connection: sqlite3.Connection, path: Path) -> None:
    """Do as `mend_log` for what processes that have gone left in the log: they may not have known of a loss.

    If it cannot be written now, it is flushed. Raises OSError.
    """
    log_file = Path(f"{path}-wal")
    if not log_file.exists() or not log_file.stat().st_size:
        return
    lose_log(path)
    try:
        mend_log(connection)
    except sqlite3.Error:  # the next commit tries it again
        flush_log(path)


def file_of(connection: sqlite3.Connection) -> str:
    """Return the path of the database."""
    (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
    return os.path.realpath(str(path))


def write_again(path: str) -> None:
    """Write all bytes of the log again, so that the next flush does not pass over them. Raises OSError.

    Readers find the same bytes meanwhile.
    """
    try:
        log_file = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at = 0
        while piece := os.pread(log_file, PIECE, at):
            if os.pwrite(log_file, piece, at) != len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            at += len(piece)
    finally:
        os.close(log_file)


def _in_sqlite(error: OSError) -> sqlite3.OperationalError:
    """Return the error as SQLite would have raised it."""
    raised = sqlite3.OperationalError(str(error))
    raised.sqlite_errorcode = sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_IOERR
    return raised
