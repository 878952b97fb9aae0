"""The engines that the contract is held by: each opens a store of its own, for tests that know only the protocols."""

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
"""Opens the store of one server, in which the tenants of these names exist; again, what is in it is there still."""


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
"""A company without users in a folder, or with those that are there, by the engine that keeps them."""


async def add_tenants(store: Store, names: tuple[str, ...]) -> None:
    """Write these tenants down, those that are not yet: they have no folder."""
    for name in names:
        if await store.tenants().find(name) is None:
            await store.tenants().add(Tenant(name, SINCE, 0))
