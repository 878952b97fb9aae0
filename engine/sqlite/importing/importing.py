"""One import in users.db: the begin and end of its transaction, and what it changes of the database meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from engine.sqlite.database import Inline, open_database, put_away, transaction
from engine.sqlite.faults import translating
from engine.sqlite.importing.addresses import SqliteRowsAside
from engine.sqlite.importing.applied import SqliteApplied
from engine.sqlite.importing.before import SqliteLinesBefore
from engine.sqlite.importing.later import SqliteRowsForLater
from engine.sqlite.importing.links import SqliteStoredLinks
from engine.sqlite.importing.pairs import SqliteFoundPairs
from engine.sqlite.importing.roster import SqliteStoredUsers
from importer.rules.identity import Identity

CACHE_KIB = 32 * 1024
"""Two imports may fill theirs at the same time. Twice as much saves 3% of a million rows with unordered addresses."""

ADDED = "SELECT name, sql FROM sqlite_schema WHERE name IN ('users_search_added', 'users_put')"


@dataclass(frozen=True, slots=True)
class SqliteImporting:
    """The `importer.users.importing.importing.Importing` over one connection to users.db."""

    users: SqliteStoredUsers
    links: SqliteStoredLinks
    addresses: SqliteRowsAside
    later: SqliteRowsForLater
    pairs: SqliteFoundPairs
    applied: SqliteApplied
    before: SqliteLinesBefore

    @classmethod
    def over(cls, db: aiosqlite.Connection, import_id: int, identity: Identity) -> SqliteImporting:
        """Return the import `import_id` over `db`, in whose transaction it is."""
        return cls(
            SqliteStoredUsers(db, import_id, identity),
            SqliteStoredLinks(db, import_id),
            SqliteRowsAside(db),
            SqliteRowsForLater(db),
            SqliteFoundPairs(db, import_id, identity),
            SqliteApplied(db, import_id, identity),
            SqliteLinesBefore(db),
        )

    async def open(self) -> None:
        """Create the temporary tables: they last as long as the connection, or until a rollback."""
        await self.users.open()
        await self.links.open()
        await self.addresses.open()
        await self.later.open()


@asynccontextmanager
async def importing(
    database: Path, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
) -> AsyncIterator[SqliteImporting]:
    """Begin an import in the users.db at `database`, in the thread that awaits this; it ends with the context.

    After the commit, the function given to `left` moves the committed data from the log into the database file: it is
    as safe in either.
    """
    with translating():
        db = await open_database(database, "tenant", through=Inline)
        try:
            await db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            await db.execute("PRAGMA wal_autocheckpoint=0")
            # Every id written was just looked up or created; checking each again doubles the cost of a new user.
            await db.execute("PRAGMA foreign_keys=OFF")
            async with transaction(db), adding_above(db):
                opened = SqliteImporting.over(db, import_id, identity)
                await opened.open()
                yield opened
            if isinstance(db, Inline) and (connection := db.given_up()):
                left(lambda: put_away(connection))
        finally:
            await db.close()


@asynccontextmanager
async def adding_above(db: aiosqlite.Connection) -> AsyncIterator[None]:
    """Stop logging each new user inside a transaction that adds users only above all existing ids.

    The log would cost a first import 3% more. If the block raises, the caller must roll the transaction back.
    """
    triggers = [tuple(row) for row in await db.execute_fetchall(ADDED)]
    for name, _ in triggers:
        await db.execute(f"DROP TRIGGER {name}")
    yield
    for _, trigger in triggers:
        await db.execute(trigger)
