"""The engines that the contract tests: each opens its own store, for tests that know only the protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from engine.sqlite.store import open_store, store_file
from engine.store import Store
from engine.tenants import Tenant
from tests.support.importing import Company

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


ENGINES: dict[str, Callable[[Path], OpenStore]] = {"sqlite": sqlite}
COMPANIES: dict[str, Callable[[Path], Company]] = {"sqlite": Company}
"""Return a company in a folder, without users or with those already there, by the engine that stores them."""


async def add_tenants(store: Store, names: tuple[str, ...]) -> None:
    """Add those of the tenants that do not exist yet; they get no folder."""
    for name in names:
        if await store.tenants().find(name) is None:
            await store.tenants().add(Tenant(name, SINCE, 0))
