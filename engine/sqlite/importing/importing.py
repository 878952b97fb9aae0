"""One import in users.db: how its transaction begins and ends, and what is changed of the database meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

from engine.sqlite.database import Inline, open_database, put_away, transaction
from engine.sqlite.faults import told
from engine.sqlite.importing.addresses import SqliteRowsAside
from engine.sqlite.importing.applied import SqliteApplied
from engine.sqlite.importing.before import SqliteLinesBefore
from engine.sqlite.importing.later import SqliteRowsForLater
from engine.sqlite.importing.links import SqliteStoredLinks
from engine.sqlite.importing.pairs import SqliteFoundPairs
from engine.sqlite.importing.roster import SqliteStoredUsers
from importer.rules.identity import Identity

CACHE_KIB = 32 * 1024
"""Two imports may fill theirs at once. Twice as much saves 3% of a million rows with addresses in no order."""

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
        """The import `import_id` over `db`, in whose transaction it is."""
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
        """Make the temporary tables: they last as long as the connection, or until a rollback."""
        await self.users.open()
        await self.links.open()
        await self.addresses.open()
        await self.later.open()


@asynccontextmanager
async def importing(
    database: Path, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
) -> AsyncIterator[SqliteImporting]:
    """Begin an import in the users.db at `database`, in the thread that this is awaited in; it ends with the context.

    What is committed goes from the log into the file of the database in what `left` gets: it is as safe in either.
    """
    with told():
        db = await open_database(database, "tenant", through=Inline)
        try:
            await db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            await db.execute("PRAGMA wal_autocheckpoint=0")
            # Every id written was just looked up or made; checking each again doubles the cost of a new user.
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
    """Inside a transaction in which users are added above all others only: it need not be noted of each of them.

    That would cost a first import one part in thirty. If the block raises, the transaction has to be rolled back.
    """
    triggers = [tuple(row) for row in await db.execute_fetchall(ADDED)]
    for name, _ in triggers:
        await db.execute(f"DROP TRIGGER {name}")
    yield
    for _, trigger in triggers:
        await db.execute(trigger)
