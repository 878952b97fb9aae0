"""A database of PostgreSQL as the place of an installation: the server needs no data folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from math import nan
from pathlib import Path

from engine.postgres.database import Database, alone
from engine.postgres.examining import examine_files, examine_server
from engine.postgres.files.examining_objects import examine_objects
from engine.postgres.migrations import migrate, newest
from engine.postgres.server.accounts import PostgresAccountStore
from engine.postgres.server.node import a_server_runs
from engine.postgres.shared.marks import PostgresMarkStore
from engine.postgres.urls import in_words, what_to_do
from engine.shared.objects import Objects
from importer.errors import DatabaseUnusable, TryAgain
from server.data_disk import DataDisk, Disk
from server.doctor.database import (
    judge_files,
    judge_objects,
    judge_secrets,
    judge_server,
    judge_unread,
    restore_rows,
)
from server.doctor.findings import Finding, Severity, in_order
from server.doctor.move import of_move
from server.files.base import WhyNotStored
from server.files.contracts import Metrics
from server.files.hooks import HookTable
from server.files.shared.files import AllSharedFiles
from server.places import place
from server.tenants.home import Home
from server.tenants.moves import refuse_moved
from server.tenants.settings import TenantRefused
from server.tenants.shared.accounts import StoredAccounts
from server.tenants.shared.home import DatabaseHome, open_home
from server.tenants.shared.vault import change_secret, unopened
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants

AGAIN_S = 1.0
"""Seconds between two examinations."""
UNREACHABLE = ("the database cannot be reached", "the database cannot be used")


class DatabasePlace:
    """The database at `url`. `secret_file` opens the sealed values in it; the bytes of files are in `objects`."""

    def __init__(self, url: str, secret_file: Path | None = None, objects: Objects | None = None) -> None:
        self._url = url
        self._objects = objects
        self._secret_file = secret_file

    @property
    def name(self) -> str:
        return in_words(self._url)

    @property
    def where(self) -> str:
        return self.name

    def refuse_unready(self) -> None:
        pass

    @asynccontextmanager
    async def held(self, stop: asyncio.Event) -> AsyncIterator[Disk]:
        with saying_what_to_do():
            async with alone(self._url) as database:
                await migrate(database)
                await refuse_moved(self.name, PostgresMarkStore(database))
        disk = DataDisk(Path(tempfile.gettempdir()), is_own=False)
        disk.begin()
        yield disk

    @asynccontextmanager
    async def opened(self, *, serving: bool = False) -> AsyncIterator[Home]:
        async with self._opened(serving=serving) as home:
            yield home

    @asynccontextmanager
    async def _opened(self, *, serving: bool = False) -> AsyncIterator[DatabaseHome]:
        async with self._marked(serving=serving) as home:
            await refuse_moved(self.name, home.marks)
            yield home

    @asynccontextmanager
    async def _marked(self, *, serving: bool = False) -> AsyncIterator[DatabaseHome]:
        """Open the data, also if they have the mark of a move."""
        async with AsyncExitStack() as stack:
            with saying_what_to_do():
                home = await stack.enter_async_context(
                    open_home(self._url, secret_file=self._secret_file, serving=serving, objects=self._objects)
                )
            yield home

    def accounts(self, tenants: Tenants, soundness: Soundness) -> StoredAccounts:
        return StoredAccounts(PostgresAccountStore(self._url), tenants.folder, soundness)

    def files(
        self,
        home: Home,
        accounts: place.Accounts,
        hooks: HookTable,
        metrics: Metrics,
        longest_read: int,
        why_not_stored: WhyNotStored,
    ) -> AllSharedFiles:
        assert isinstance(home, DatabaseHome)
        assert isinstance(accounts, StoredAccounts)
        return AllSharedFiles(hooks, metrics, home.files, accounts.identity, longest_read, why_not_stored)

    async def server_runs(self) -> bool:
        async with alone(self._url) as database:
            return await a_server_runs(database)

    def disk_folder(self) -> None:
        return None

    def newest_backup(self) -> float:
        return nan

    def findings(self) -> list[Finding]:
        return asyncio.run(self._findings())

    async def _findings(self) -> list[Finding]:
        """Examine twice: what a server or a command does may look wrong for a moment."""
        first = await self._examined()
        if not first:
            return first
        await asyncio.sleep(AGAIN_S)
        known = {each.key for each in first}
        return in_order([each for each in await self._examined() if each.key in known], self.name)

    async def _examined(self) -> list[Finding]:
        with saying_what_to_do():
            async with alone(self._url) as database:
                server = await examine_server(database)
                if not server.versions and server.encoding == "UTF8":
                    raise self._no_tables()
                found = judge_server(server, newest(), self.name)
                if server.versions != newest():  # the tables may be others
                    return found
                moved, is_target = await of_move(self.name, self.name, PostgresMarkStore(database))
                found += moved
                if is_target:
                    return found
                found += await self._or_unread("the files of tenants", self._examined_files(database))
        async with self._marked() as home:  # a move names doctor for the files that it cannot read
            found += await self._or_unread("what is sealed", self._examined_secrets(home))
            for name in [each.name for each in await home.store.tenants().list()]:
                found += await self._or_unread("a part of the tenant", self._examined_tenant(home, name), name)
        return found

    async def _or_unread(
        self, part: str, examined: Awaitable[list[Finding]], tenant: str | None = None
    ) -> list[Finding]:
        """Return the findings about a part, or the only one that it cannot be read: the other parts follow."""
        try:
            return await examined
        except Exception as error:
            return [judge_unread(error, part, self.name, tenant)]

    async def _examined_tenant(self, home: DatabaseHome, name: str) -> list[Finding]:
        why = (await home.inspect(name, whole=True)).why
        do = restore_rows("the rows of this tenant", self.name)
        return [Finding(name, self.name, Severity.ERROR, why, do)] if why else []

    async def _examined_secrets(self, home: DatabaseHome) -> list[Finding]:
        return judge_secrets(await unopened(home.store.secrets(), self._secret_file), self.name)

    async def _examined_files(self, database: Database) -> list[Finding]:
        if self._objects is None:
            return judge_files(await examine_files(database), self.name)
        facts = await examine_objects(database, self._objects)
        files = await examine_files(database, None if facts.why else self._objects)
        return [*judge_objects(facts, self.name), *judge_files(files, self.name)]

    def _no_tables(self) -> TenantRefused:
        return TenantRefused(
            "no_data_folder",
            f"{self.name} has no tables of Headcount. Check its name in HEADCOUNT_DATABASE_URL. To create tables, "
            "add the first tenant: headcount tenant add NAME",
        )

    async def change_secret(self, new_file: Path) -> bool:
        if await self.server_runs():
            raise TenantRefused(
                "server_runs",
                f"a server runs on {self.name}. Stop all servers first",
            )
        async with self._opened() as home:
            return await change_secret(home.store.secrets(), self._secret_file, new_file)

    def require_folder(self) -> Path:
        raise TenantRefused(
            "no_data_folder",
            f"the data is in {self.name}, not in a data folder. PostgreSQL's own programs back it up and restore it: "
            "pg_dump and pg_restore",
        )

    def has_data(self) -> bool:
        return True

    def may_be_made(self) -> bool:
        return False

    def exists(self) -> bool:
        return True

    def refuse_absent(self) -> None:
        pass

    def no_data(self) -> TenantRefused:
        raise AssertionError("tables that are missing are created")


@contextmanager
def saying_what_to_do(where: str = "HEADCOUNT_DATABASE_URL") -> Iterator[None]:
    """Add to the error of a connection that cannot be made what to check, and `where` the URL is."""
    try:
        yield
    except (TryAgain, DatabaseUnusable) as error:
        said = error.in_full if isinstance(error, TryAgain) else str(error)
        if not said.startswith(UNREACHABLE):
            raise
        advice = f"{said}. {what_to_do(said)} ({where})"
        if isinstance(error, TryAgain):
            raise TryAgain(error.code, error.message, advice.removeprefix(f"{error.message}: ")) from error
        raise DatabaseUnusable(advice) from error
