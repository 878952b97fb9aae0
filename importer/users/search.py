"""What a search for users finds.

A search is words; each has to be the beginning of a word in somebody's first name, last name, address or identifier,
whatever the case and the accents. What is not between spaces belongs together: `anna@exa` is an `anna` followed by
something that begins with `exa`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite

FEW = 500
"""So many users at most have no index: one is made of them for a search, which takes some milliseconds."""

LONGEST = 500
ADDED = "SELECT name, sql FROM sqlite_schema WHERE name IN ('users_search_added', 'users_put')"


def clean(search: str) -> str:
    """`search` as it is compared: NFC as names are, no longer than anybody types, and without NUL."""
    return unicodedata.normalize("NFC", search[:LONGEST].replace("\0", " ")).strip()


@asynccontextmanager
async def adding_above(db: aiosqlite.Connection) -> AsyncIterator[None]:
    """Inside a transaction in which users are added above all others only: it need not be noted of each of them.

    That would cost a first import one part in thirty. If the block raises, the transaction has to be rolled back.
    """
    triggers = [tuple(row) for row in await db.execute_fetchall(ADDED)]
    for name, _ in triggers:
        await db.execute(f"DROP TRIGGER {name}")
    yield
    for _, trigger in triggers:
        await db.execute(trigger)
