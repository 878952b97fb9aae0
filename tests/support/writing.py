"""Write to databases beside Headcount, as another program does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

BYTES_STORED = "INSERT INTO landed_files SELECT tenant, id, path, CAST('of a run' AS BLOB), 0 FROM runs"
"""A statement: the bytes of each run are in headcount.db, as just after its file landed."""


def by_hand(database: Path, *statements: str) -> None:
    """Run these statements, each in its own transaction."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        for each in statements:
            db.execute(each)


@contextmanager
def being_written(database: Path, statement: str = "", *, keep: bool = False) -> Iterator[None]:
    """Hold a transaction of another connection open, after `statement`; commit it or roll it back at the end.

    Other writers wait for it, at most ten seconds.
    """
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        writing.execute(statement)
        yield
        if keep:
            writing.execute("COMMIT")


@contextmanager
def being_read(database: Path, statement: str) -> Iterator[None]:
    """Hold the view of another connection open, with what `statement` read: its log cannot be moved to an end."""
    with closing(sqlite3.connect(database, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute(statement).fetchall()
        yield


def without_overwriting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each new connection be that of a library of SQLite that overwrites only what it is told to."""
    real = sqlite3.connect

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        db = real(*args, **options)
        db.execute("PRAGMA secure_delete=OFF")
        return db

    monkeypatch.setattr(sqlite3, "connect", connect)
