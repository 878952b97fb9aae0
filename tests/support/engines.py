"""The engines that the contract tests: each opens its own store, for tests that know only the protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.marks import MarkStore
from engine.postgres import store as postgres_store
from engine.shared.objects import Objects
from engine.sqlite.store import open_store, store_file
from engine.store import Store
from engine.tenants import Tenant
from importer.folder import TenantFolder
from keys.file_ring import FileRing
from keys.ring import KeyRing
from server.signing import SecretFiles, WebhookSecrets
from server.tenants.local.marks import FileMarks
from server.tenants.shared.rings import StoredRing
from server.tenants.shared.vault import Vault
from tests.support.bucket import objects_of
from tests.support.clients import POSTGRES, needs
from tests.support.importing import Company
from tests.support.postgres import database_for
from tests.support.postgres_company import PostgresCompany
from tests.support.waiting import DEADLINE_S

SINCE = "2026-01-01T00:00:00.000Z"

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]
"""Open the store of one server in which the tenants of these names exist. A second call keeps the content."""


def sqlite(folder: Path) -> OpenStore:
    """The SQLite engine, on a file in `folder`."""

    @asynccontextmanager
    async def opened(*tenants: str, serving: bool = False) -> AsyncIterator[Store]:
        async with open_store(store_file(folder), make=True, serving=serving) as store:
            await add_tenants(store, tenants)
            yield store

    return opened


def postgres(folder: Path, objects: Objects | None = None) -> OpenStore:
    """The PostgreSQL engine, on a database that belongs to `folder`. Bytes of files are in `objects`, if given."""

    @asynccontextmanager
    async def opened(*tenants: str, serving: bool = False) -> AsyncIterator[Store]:
        url = await database_for(folder)
        async with postgres_store.open_store(url, serving=serving, login_wait_s=DEADLINE_S, objects=objects) as store:
            await add_tenants(store, tenants)
            yield store

    return opened


def s3(folder: Path) -> OpenStore:
    """The PostgreSQL engine, with the bytes of files in a bucket that belongs to `folder`."""
    return postgres(folder, objects_of(folder))


ENGINES: dict[str, Callable[[Path], OpenStore]] = {"sqlite": sqlite, "postgres": postgres}
PLACES_OF_FILES = {**ENGINES, "s3": s3}
"""The engines; and PostgreSQL with the bytes of files outside of it."""
COMPANIES: dict[str, Callable[..., Company]] = {"sqlite": Company, "postgres": PostgresCompany}
"""Return a company in a folder, without users or with those already there, by the engine that stores them."""
RINGS: dict[str, Callable[[Path, Any, str], KeyRing]] = {
    "sqlite": lambda folder, store, tenant: FileRing(folder / f"{tenant}.json"),
    "postgres": lambda folder, store, tenant: StoredRing(store.keys(), tenant),
}
"""Return the keys of a tenant, by the engine whose store and folder these are."""
SECRETS: dict[str, Callable[[Path, Any], WebhookSecrets]] = {
    "sqlite": lambda folder, store: SecretFiles(lambda tenant: TenantFolder(folder / tenant)),
    "postgres": lambda folder, store: Vault(store.secrets(), folder / "secret"),
}
MARKS: dict[str, Callable[[Path, Any], MarkStore]] = {
    "sqlite": lambda folder, store: FileMarks(folder),
    "postgres": lambda folder, store: store.marks(),
}
"""Return the secrets of webhooks, and the marks, by the engine whose store and folder these are."""

NEEDED = {"postgres": needs(POSTGRES), "s3": needs(POSTGRES)}


def each_of(engines: Iterable[str]) -> list[Any]:
    """Return the engines as parameters of a test, which is skipped if the programs of one are missing."""
    return [pytest.param(name, marks=NEEDED.get(name, ())) for name in engines]


async def add_tenants(store: Store, names: tuple[str, ...]) -> None:
    """Add those of the tenants that do not exist yet; they get no folder."""
    for name in names:
        if await store.tenants().find(name) is None:
            await store.tenants().add(Tenant(name, SINCE, 0))
