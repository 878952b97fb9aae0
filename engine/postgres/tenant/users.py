"""The users of one tenant in PostgreSQL. Each call is one transaction, or more where it reads in steps."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from engine.postgres.database import Database, alone
from engine.postgres.importing.importing import PostgresImporting, importing
from engine.postgres.importing.work import SETTINGS, Work
from engine.postgres.migrations import newest
from engine.postgres.server.node import LONG, hold_work
from engine.postgres.tenant import settings, stock
from engine.postgres.tenant.copies import copy_users
from engine.postgres.tenant.directory import PostgresDirectory
from engine.postgres.tenant.history import PostgresHistory
from engine.postgres.tenant.invitations import PostgresInvitations
from engine.postgres.tenant.memory import PostgresMemory
from engine.postgres.tenant.reading import ONE_MOMENT, Moment, Reads, reads_of, sought
from engine.postgres.tenant.switching import refuse_switched
from engine.postgres.tenant.undoing import PostgresUndoing
from engine.postgres.tenant.writing import writing
from importer.errors import Stopped
from importer.model import INTEGER_MAX, Outcome
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.settled import SettingChange, Settled, Texts
from importer.users.users import Look, Stock

MAKE = """
    INSERT INTO meta (tenant_id, began, last_change, gone) SELECT id, %(began)s, %(began)s, %(began)s
    FROM tenants WHERE name = %(tenant)s ON CONFLICT DO NOTHING"""
LARGEST_BEGINNING = 1 << 52
"""See `meta` in schema/tenant-001.sql."""

SNAPSHOT = {**ONE_MOMENT, "idle_in_transaction_session_timeout": "1h"}
"""Settings of a transaction that a command keeps open for its output, which its user may read slowly."""
COPIED = {**SETTINGS, "transaction_isolation": "repeatable read", "idle_in_transaction_session_timeout": LONG}


class PostgresUsers:
    """The `importer.users.users.Users` of the tenant with this name.

    Calls in the event loop of `database` use its connections; without it, each call opens one. Calls that block and
    imports always open one. Imports of the server with the number `node` end with it, and store only what it may.
    """

    def __init__(self, url: str, tenant: str, database: Database | None = None, node: int | None = None) -> None:
        self._url = url
        self._tenant = tenant
        self._shared = database
        self._node = node

    async def prepare(self, *, make: bool = False) -> Texts:
        async with self._database() as database:
            if make:
                began = 1 + secrets.randbelow(LARGEST_BEGINNING)
                await database.change(MAKE, began=began, tenant=self._tenant)
            return await settings.texts_in(await reads_of(database, self._tenant))

    @asynccontextmanager
    async def directory(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[PostgresDirectory]:
        async with self._reads() as reads:
            yield PostgresDirectory(reads, identity)

    @asynccontextmanager
    async def snapshot(self, identity: Identity = BY_ADDRESS) -> AsyncIterator[PostgresDirectory]:
        async with self._database() as database:
            found = await reads_of(database, self._tenant)
            async with database.transaction(SNAPSHOT) as steps:
                moment = Moment(steps, found.tenant)
                await moment.rows("SELECT 1")  # from here on all reads are of one moment
                yield PostgresDirectory(moment, identity)

    def is_indexed(self) -> bool:
        """Return true: a search needs no index that could be missing."""
        return True

    def catch_up_index(self, stopping: Callable[[], bool] = lambda: False) -> int:
        return 0

    async def count_by_state(self) -> dict[str, int]:
        async with self._reads() as reads:
            return await PostgresDirectory(reads).count_by_state()

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        async with self._database() as database, writing(database, self._tenant) as (steps, tenant):
            done = await steps.change(
                f"UPDATE users SET protected = %s WHERE tenant_id + 0 = %s AND {identity.column} = %s",  # noqa: S608
                *(protected, tenant, sought(identity.key(identifier.strip()))),
            )
            return done == 1

    @asynccontextmanager
    async def history(self, identity: Identity, *, upgrade: bool = False) -> AsyncIterator[PostgresHistory]:
        async with self._reads() as reads:
            yield PostgresHistory(reads, identity)

    @asynccontextmanager
    async def invitations(self, wait_s: float) -> AsyncIterator[PostgresInvitations]:
        async with self._database() as database:
            reads = await reads_of(database, self._tenant)
            yield PostgresInvitations(reads, partial(writing, database, self._tenant, wait_s))

    @asynccontextmanager
    async def memory(self) -> AsyncIterator[PostgresMemory]:
        async with self._database() as database:
            reads = await reads_of(database, self._tenant)
            yield PostgresMemory(reads, partial(writing, database, self._tenant))

    @asynccontextmanager
    async def undoing(self, import_id: int, identity: Identity) -> AsyncIterator[PostgresUndoing]:
        async with (
            self._database() as database,
            writing(database, self._tenant, settings=SETTINGS) as (steps, tenant),
        ):
            await refuse_switched(steps, tenant, identity)
            await hold_work(steps, tenant, import_id, self._node)
            work = Work(steps, tenant, import_id, self._node)
            yield PostgresUndoing(work, identity)
            await work.numbers.keep()

    def importing(
        self, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
    ) -> AbstractAsyncContextManager[PostgresImporting]:
        return importing(self._url, self._tenant, import_id, identity, self._node)

    async def outcome_of(self, import_id: int) -> Outcome | None:
        return await self._outcome("outcome", import_id)

    async def outcome_of_undo(self, import_id: int) -> Outcome | None:
        return await self._outcome("undone", import_id)

    async def _outcome(self, column: str, import_id: int) -> Outcome | None:
        query = f"SELECT {column} FROM applied JOIN tenants ON id = tenant_id WHERE name = %s AND import_id = %s"  # noqa: S608
        async with self._database() as database:
            rows = await database.read(query, self._tenant, import_id)
        return Outcome.from_json(rows[0][0]) if rows and rows[0][0] else None

    def look(self, fields: Iterable[str]) -> Look:
        return stock.look_at_users(self._url, self._tenant, fields)

    def copy_bytes(self) -> int:
        return stock.about_bytes(self._url, self._tenant)

    def copy(self, folder: Path, stopping: Callable[[], bool] = lambda: False) -> PostgresUsers:
        if stopping():
            raise Stopped("the server is stopping")
        found = stock.written(self._url, self._tenant)
        if found is None:
            raise stock.no_users(self._tenant)
        return CopiedUsers(self._url, self._tenant, *found)

    def read_settings(self, timeout_s: float) -> tuple[Texts, bool]:
        return stock.read_settings(self._url, self._tenant, timeout_s), False

    async def change_settings(self, decide: Callable[[Texts], Settled]) -> Settled:
        async with self._database() as database, writing(database, self._tenant) as (steps, tenant):
            return await settings.change(steps, tenant, decide)

    async def settings_changes(
        self, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
    ) -> tuple[list[SettingChange], int | None]:
        async with self._reads() as reads:
            return await settings.page_of_changes(reads, limit, before)

    async def highest_import(self) -> int:
        async with self._reads() as reads:
            query = "SELECT coalesce(max(import_id), 0) FROM applied WHERE tenant_id = %(tenant)s"
            return int((await reads.rows(query))[0][0])

    def why_shut(self) -> str | None:
        return stock.why_shut(self._url, self._tenant)

    def read_all(self) -> None:
        stock.read_all(self._url, self._tenant)

    def looks_like(self) -> object:
        return stock.written(self._url, self._tenant), newest()["tenant"]

    def is_plain(self) -> bool:
        return stock.is_plain(self._url, self._tenant)

    def take_stock(self, timeout_s: float) -> Stock:
        return stock.take_stock(self._url, self._tenant, timeout_s)

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        if self._shared:
            yield self._shared
        else:
            async with alone(self._url) as database:
                yield database

    @asynccontextmanager
    async def _reads(self) -> AsyncIterator[Reads]:
        async with self._database() as database:
            yield await reads_of(database, self._tenant)


class CopiedUsers(PostgresUsers):
    """The users as the transaction `mark` left them. An import of these changes nothing outside its transaction."""

    def __init__(self, url: str, tenant: str, number: int, mark: str) -> None:
        super().__init__(url, tenant)
        self._number = number
        self._mark = mark

    @asynccontextmanager
    async def importing(
        self, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
    ) -> AsyncIterator[PostgresImporting]:
        async with self._database() as database, database.transaction(COPIED) as steps:
            await copy_users(steps, self._tenant, self._number, self._mark)
            yield PostgresImporting.over(Work(steps, self._number, import_id), identity)
