"""A database of PostgreSQL as the place of an installation: the server needs no data folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from engine.postgres.database import alone, pooled
from engine.postgres.migrations import migrate
from engine.postgres.server.serving import PostgresServing
from engine.postgres.urls import in_words, what_to_do
from importer.errors import TryAgain
from server.data_disk import DataDisk, Disk
from server.places.only_one import the_only_one
from server.tenants.home import Home
from server.tenants.settings import TenantRefused
from server.tenants.shared.accounts import StoredAccounts
from server.tenants.shared.home import open_home
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants

SETTING = "HEADCOUNT_DATABASE_URL"


class DatabasePlace:
    """The database at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def name(self) -> str:
        return in_words(self._url)

    @property
    def where(self) -> str:
        return self.name

    @asynccontextmanager
    async def held(self, stop: asyncio.Event) -> AsyncIterator[Disk]:
        with _saying_what_to_do():
            async with alone(self._url) as database:
                await migrate(database)
        async with pooled(self._url, most=1) as database, the_only_one(PostgresServing(database), self.name, stop):
            disk = DataDisk(Path(tempfile.gettempdir()), is_own=False)
            disk.begin()
            yield disk

    @asynccontextmanager
    async def opened(self, *, serving: bool = False) -> AsyncIterator[Home]:
        opening = open_home(self._url, serving=serving)
        with _saying_what_to_do():
            home = await opening.__aenter__()
        async with _entered(opening):
            yield home

    def accounts(self, tenants: Tenants, soundness: Soundness) -> StoredAccounts:
        return StoredAccounts(tenants.store.accounts(), tenants.folder, soundness)

    async def server_runs(self) -> bool:
        async with alone(self._url) as database:
            return await PostgresServing(database).lives()

    def newest_backup(self) -> float:
        return 0.0

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
