"""The users of one tenant in SQLite: users.db in its folder. Each call opens the file and closes it at its end."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiosqlite

from engine.sqlite.database import open_database, transaction
from engine.sqlite.faults import fetch, translating
from engine.sqlite.importing.importing import SqliteImporting, importing
from engine.sqlite.tenant import settings
from engine.sqlite.tenant.copies import copy_users, look_at_users
from engine.sqlite.tenant.directory import SqliteDirectory
from engine.sqlite.tenant.file import is_plain, looks_like
from engine.sqlite.tenant.history import SqliteHistory
from engine.sqlite.tenant.invitations import SqliteInvitations
from engine.sqlite.tenant.memory import SqliteMemory
from engine.sqlite.tenant.search import attach_index
from engine.sqlite.tenant.search_index import catch_up
from engine.sqlite.tenant.stock import read_all, take_stock
from engine.sqlite.tenant.switching import refuse_switched
from engine.sqlite.tenant.undoing import SqliteUndoing
from engine.sqlite.unusable import shut
from importer.folder import TenantFolder
from importer.model import INTEGER_MAX, Outcome
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.settled import SettingChange, Settled, Texts
from importer.users.users import Look, Stock


class SqliteUsers:
    """The `importer.users.users.Users` in the folder of a tenant."""

    def __init__(self, folder: TenantFolder) -> None:
        self._folder = folder

    async def prepare(self, *, make: bool = False) -> Texts:
        if make:
            self._folder.users_db.touch(mode=0o600)
        async with open_users(self._folder, make=make) as db:
            return await settings.texts_in(db)

    @asynccontextmanager
    async def directory(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[SqliteDirectory]:
        async with open_users(self._folder, readonly=True) as db:
            with translating():
                index = await attach_index(db, self._folder.search_db)
            yield SqliteDirectory(db, identity, index)

    @asynccontextmanager
    async def snapshot(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[SqliteDirectory]:
        async with open_users(self._folder) as db:
            with translating():
                await db.execute("BEGIN")
            yield SqliteDirectory(db, identity)

    def is_indexed(self) -> bool:
        return self._folder.search_db.exists()

    def catch_up_index(self, stopping: Callable[[], bool] = lambda: False) -> int:
        with translating():
            return catch_up(self._folder, stopping)

    async def count_by_state(self) -> dict[str, int]:
        async with open_users(self._folder) as db:
            return await SqliteDirectory(db).count_by_state()

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        async with open_users(self._folder) as db:
            with translating():
                async with transaction(db):
                    cursor = await db.execute(
                        f"UPDATE users SET protected = ? WHERE {identity.column} = ?",  # noqa: S608 - one of two columns
                        (protected, identity.key(identifier.strip())),
                    )
                    return cursor.rowcount == 1

    @asynccontextmanager
    async def history(self, identity: Identity, *, upgrade: bool = False) -> AsyncIterator[SqliteHistory]:
        async with open_users(self._folder, readonly=not upgrade) as db:
            yield SqliteHistory(db, identity)

    @asynccontextmanager
    async def invitations(self, wait_s: float) -> AsyncIterator[SqliteInvitations]:
        async with open_users(self._folder) as db:
            with translating():
                await db.execute(f"PRAGMA busy_timeout={round(wait_s * 1000)}")
            yield SqliteInvitations(db)

    @asynccontextmanager
    async def memory(self) -> AsyncIterator[SqliteMemory]:
        async with open_users(self._folder) as db:
            yield SqliteMemory(db)

    @asynccontextmanager
    async def undoing(self, import_id: int, identity: Identity) -> AsyncIterator[SqliteUndoing]:
        async with open_users(self._folder) as db:
            with translating():
                async with transaction(db):
                    await refuse_switched(db, identity)
                    yield SqliteUndoing(db, import_id)

    def importing(
        self, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
    ) -> AbstractAsyncContextManager[SqliteImporting]:
        return importing(self._folder.users_db, import_id, identity, left)

    async def outcome_of(self, import_id: int) -> Outcome | None:
        return await self._outcome("SELECT outcome FROM applied WHERE import_id = ?", import_id)

    async def outcome_of_undo(self, import_id: int) -> Outcome | None:
        return await self._outcome("SELECT undone FROM applied WHERE import_id = ?", import_id)

    async def _outcome(self, query: str, import_id: int) -> Outcome | None:
        if not self._folder.users_db.exists():
            return None
        async with open_users(self._folder) as db:
            rows = await fetch(db, query, (import_id,))
        return Outcome.from_json(json.loads(rows[0][0])) if rows and rows[0][0] else None

    def look(self, fields: Iterable[str]) -> Look:
        return look_at_users(self._folder.users_db, fields)

    def copy_bytes(self) -> int:
        return self._folder.users_db.stat().st_size

    def copy(self, folder: Path, stopping: Callable[[], bool] = lambda: False) -> SqliteUsers:
        copy = TenantFolder(folder)
        copy_users(self._folder.users_db, copy.users_db, stopping)
        return SqliteUsers(copy)

    def read_settings(self, timeout_s: float) -> tuple[Texts, bool]:
        return settings.read(self._folder.users_db, timeout_s)

    async def change_settings(self, decide: Callable[[Texts], Settled]) -> Settled:
        async with open_users(self._folder) as db:
            return await settings.change(db, decide)

    async def settings_changes(
        self, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
    ) -> tuple[list[SettingChange], int | None]:
        async with open_users(self._folder, readonly=not upgrade) as db:
            return await settings.page_of_changes(db, limit, before)

    async def highest_import(self) -> int:
        async with open_users(self._folder) as db:
            return int((await fetch(db, "SELECT coalesce(max(import_id), 0) FROM applied"))[0][0])

    def why_shut(self) -> str | None:
        return shut(self._folder.users_db)

    def read_all(self) -> None:
        read_all(self._folder.users_db)

    def looks_like(self) -> object:
        return looks_like(self._path)

    def is_plain(self) -> bool:
        return is_plain(self._path)

    @property
    def _path(self) -> str:
        """The path as text, which for many folders takes less time."""
        return f"{os.fspath(self._folder.root)}/users.db"

    def take_stock(self, timeout_s: float) -> Stock:
        return take_stock(self._folder.users_db, timeout_s)


@asynccontextmanager
async def open_users(
    folder: TenantFolder, *, readonly: bool = False, make: bool = False
) -> AsyncIterator[aiosqlite.Connection]:
    """Open the users.db of one tenant; migrate its schema unless `readonly`; with `make` create it if needed."""
    with translating():
        db = await open_database(folder.users_db, "tenant", readonly=readonly, make=make)
    try:
        yield db
    finally:
        await db.close()
