"""Translate errors of psycopg into the exceptions of importer.errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from importer.errors import DatabaseAway, DatabaseDamaged, DatabaseFault, DatabaseUnusable, TryAgain

AGAIN = {"40001", "40P01"}
"""SQLSTATE: PostgreSQL ended the transaction because of another one. The same transaction may succeed at once."""

DISK_FULL = {"53100"}
DISK = {"58000", "58030"}
READ_ONLY = "25006"
"""SQLSTATE: a standby, which is not the primary yet or not any more."""
BUSY = {"25P03", "55P03", "55006", "57014"}
"""SQLSTATE: a transaction that waited too long, a lock that did not come."""
BUSY_CLASSES = {"40", "53"}
AWAY = ("08", "57P")
"""The start of the SQLSTATEs of a connection that is lost, and of a database that stops or starts."""
DAMAGED = {"XX001", "XX002"}
MAYBE_DAMAGED = {"XX000", "58P01"}
"""SQLSTATE: an internal error, such as a length in a row that makes no sense, and a file that is missing.

Neither has to be damage. A look at all rows tells.
"""
WRONG = {"3D000", "3F000", "42P01", "42501"}
"""SQLSTATE: no such database, schema or table, or no right to it."""
WRONG_CLASSES = {"28"}


@contextmanager
def translating() -> Iterator[None]:
    """Raise errors of psycopg in the block as `translated` gives them."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error) from error


def translated(error: psycopg.Error) -> Exception:
    """Map an error to TryAgain, DatabaseUnusable or else DatabaseFault.

    A connection that is lost during a COMMIT is TryAgain, too, although the transaction may have been committed.
    """
    state, said = error.sqlstate, first_line(error)
    if state in DISK_FULL:
        return TryAgain("disk_full", "the disk of the database is full")
    if state in DISK:
        return TryAgain("disk_error", "the database could not read or write its disk", said)
    if state in DAMAGED:
        return DatabaseDamaged(f"the database is damaged: {said}")
    if state in MAYBE_DAMAGED:
        return DatabaseDamaged(f"the database reports an internal error: {said}")
    if state is None:
        # Without a state, the connection could not be made or was lost.
        if isinstance(error, psycopg.OperationalError):
            return DatabaseAway(said)
        return DatabaseFault(f"the database cannot be used: {said}")
    if state == READ_ONLY:
        return DatabaseAway(said, "the database cannot be written now")
    if state.startswith(AWAY):
        return DatabaseAway(said)
    if state in BUSY or state[:2] in BUSY_CLASSES:
        return TryAgain("database_busy", "the database cannot do it now", said)
    if state in WRONG or state[:2] in WRONG_CLASSES:
        return DatabaseUnusable(f"the database cannot be used: {said}")
    return DatabaseFault(f"the database cannot be used: {said}")


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
