"""The users of one tenant in SQLite: users.db in its folder. Each call opens it, and has closed it when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosqlite

from engine.sqlite.faults import told
from engine.sqlite.tenant.directory import SqliteDirectory
from engine.sqlite.tenant.history import SqliteHistory
from importer.database import open_database, transaction
from importer.folder import TenantFolder
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.search import attach_index


class SqliteUsers:
    """The `importer.users.users.Users` in the folder of a tenant."""

    def __init__(self, folder: TenantFolder) -> None:
        self._folder = folder

    @asynccontextmanager
    async def directory(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[SqliteDirectory]:
        async with self._opened(readonly=True) as db:
            with told():
                index = await attach_index(db, self._folder.search_db)
            yield SqliteDirectory(db, identity, index)

    @asynccontextmanager
    async def snapshot(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[SqliteDirectory]:
        async with self._opened() as db:
            with told():
                await db.execute("BEGIN")
            yield SqliteDirectory(db, identity)

    async def count_by_state(self) -> dict[str, int]:
        async with self._opened() as db:
            return await SqliteDirectory(db).count_by_state()

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        async with self._opened() as db:
            with told():
                async with transaction(db):
                    cursor = await db.execute(
                        f"UPDATE users SET protected = ? WHERE {identity.column} = ?",  # noqa: S608 - one of two columns
                        (protected, identity.key(identifier.strip())),
                    )
                    return cursor.rowcount == 1

    @asynccontextmanager
    async def history(self, identity: Identity, *, upgrade: bool = False) -> AsyncIterator[SqliteHistory]:
        async with self._opened(readonly=not upgrade) as db:
            yield SqliteHistory(db, identity)

    @asynccontextmanager
    async def _opened(self, *, readonly: bool = False) -> AsyncIterator[aiosqlite.Connection]:
        """Unless it is only read, the schema is of now."""
        with told():
            db = await open_database(self._folder.users_db, "tenant", readonly=readonly)
        try:
            yield db
        finally:
            await db.close()
