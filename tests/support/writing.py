"""Databases that something else than Headcount writes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


def by_hand(database: Path, *statements: str) -> None:
    """Do these statements, each in a transaction of its own."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        for each in statements:
            db.execute(each)


@contextmanager
def being_written(database: Path, statement: str = "", *, keep: bool = False) -> Iterator[None]:
    """Another connection did `statement`, and its transaction is open until this is left; then it is kept, or not.

    Whoever else writes waits for it, for up to ten seconds.
    """
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        writing.execute(statement)
        yield
        if keep:
            writing.execute("COMMIT")
