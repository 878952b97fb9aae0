"""What SQLite says of a users.db that is open, in the words of importer.errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import aiosqlite

from engine.sqlite.database import as_try_again
from engine.sqlite.unusable import is_damage
from importer.errors import DatabaseDamaged, DatabaseFault


@contextmanager
def told() -> Iterator[None]:
    """Raise what SQLite says as TryAgain or DatabaseDamaged, where it is one of them; else as DatabaseFault."""
    try:
        yield
    except sqlite3.Error as error:
        meant = as_try_again(error)
        if meant is not error:
            raise meant from error
        if is_damage(error):
            raise DatabaseDamaged(f"the database can't be used: {error}") from error
        raise DatabaseFault(f"the database can't be used: {error}") from error


async def fetch(db: aiosqlite.Connection, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
    """All that `query` finds. Raises as `told` does."""
    with told():
        return list(await db.execute_fetchall(query, values))
