"""Translate SQLite errors of an open users.db into the exceptions of importer.errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import aiosqlite

from engine.sqlite.database import as_try_again
from engine.sqlite.unusable import is_damage
from importer.errors import DatabaseDamaged, DatabaseFault


@contextmanager
def translating() -> Iterator[None]:
    """Raise SQLite errors in the block as TryAgain or DatabaseDamaged if they are that, else as DatabaseFault."""
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
