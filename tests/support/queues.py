"""A queue on a real database with imports in it, for tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.store import Store
from importer.folder import TenantFolder
from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState, Outcome
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.users.users import Users
from importer.worker.closing import Closing
from tests.support.embedded import EmbeddedInstallation
from tests.support.engines import OpenStore
from tests.support.installation import Installation, installation

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUARD = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 20, 15)


@asynccontextmanager
async def open_queue(data: Path, *tenants: str) -> AsyncIterator[Queue]:
    """Open the queue of the data folder `data`, in which these tenants exist."""
    async with open_house(data, *tenants) as house:
        yield house.queue


class Watching:
    """A watcher that records its calls."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, ImportState]] = []
        self.durations: list[float | None] = []

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        self.ends.append((entry.id, entry.state))
        self.durations.append(duration_s)


class House:
    """A queue, the ends of its imports, and the folders around it: the base of most tests of imports."""

    def __init__(self, stored: Installation, store: Store) -> None:
        self.stored = stored
        self.store = store
        self.queue = queue = store.imports()
        self.watching = Watching()
        self.archive, self.results = stored.archive(store), stored.results(store)
        self.closing = Closing(queue, self.folder, self.watching, archive=self.archive, results=self.results)

    def folder(self, tenant: str = "acme") -> TenantFolder:
        """Return the folder in which the parts of the house work."""
        return self.stored.folder(tenant)

    def users(self, tenant: str = "acme") -> Users:
        return self.stored.users_of(tenant)

    async def upload(self, text: str = "x\n", tenant: str = "acme", *, dry_run: bool = False) -> int:
        """Add a published file: visible, copied, queued."""
        import_id = await promise(self.queue, tenant, dry_run=dry_run)
        self.put(import_id, text, tenant, dry_run=dry_run)
        await self.queue.landed(tenant, import_id)
        return import_id

    def put(self, import_id: int, text: str, tenant: str = "acme", *, dry_run: bool = False) -> None:
        """Publish a file as an upload does."""
        path = "/test/sync_users.csv" if dry_run else "/sync_users.csv"
        self.stored.land(tenant, path, text.encode(), import_id)

    def copy(self, import_id: int, tenant: str = "acme") -> bytes | None:
        """Return the kept copy of an import; None without one."""
        return self.stored.copy(tenant, import_id)

    def shown(self, import_id: int, tenant: str = "acme") -> Any:
        """Return the report in /results, or None if there is none."""
        content = self.stored.visible(tenant, f"/results/sync_users-{import_id}.json")
        return None if content is None else json.loads(content)


@asynccontextmanager
async def open_house(data: Path, *tenants: str, engine: OpenStore | None = None) -> AsyncIterator[House]:
    """Open a house in `data`, in which these tenants exist.

    With `engine`, its store is of that engine, and its folders are embedded.
    """
    if engine is None:
        stored = installation(data)
        async with stored.store(*tenants) as store:
            yield House(stored, store)
    else:
        folders = EmbeddedInstallation(data)
        async with engine(*tenants) as store:
            for name in tenants:
                folders.make_folder_of(name)
            yield House(folders, store)


async def promise(queue: Queue, tenant: str = "acme", *, dry_run: bool = False, size: int = 5) -> int:
    """Add an arriving upload."""
    path = "/test/sync_users.csv" if dry_run else "/sync_users.csv"
    return await queue.arriving(tenant, path, size=size, written=None, uploaded_at=NOON, dry_run=dry_run)


async def enqueue(queue: Queue, tenant: str = "acme", *, dry_run: bool = False) -> int:
    """Add a published upload."""
    import_id = await promise(queue, tenant, dry_run=dry_run)
    await queue.landed(tenant, import_id)
    return import_id


async def found(queue: Queue, import_id: int, tenant: str = "acme") -> Entry:
    entry = await queue.get(tenant, import_id)
    assert entry
    return entry


async def run_to(queue: Queue, import_id: int, state: ImportState, tenant: str = "acme", **counts: int) -> Entry:
    """Start a queued import and end it in `state`, with these counts."""
    if state is ImportState.DISCARDED:
        await run_to(queue, import_id, ImportState.HELD, tenant)
        return await queue.discard(tenant, import_id, by="operator")
    entry = await queue.claim(tenant, import_id)
    assert entry
    ended = entry.ended(outcome(state, **counts), NOON)
    assert await queue.finish(ended, published=True)
    return ended


def outcome(state: ImportState, **counts: int) -> Outcome:
    guard = GUARD if state is ImportState.HELD else None
    facts = FileFacts("sync_users.csv", 5, "ab" * 32, sum(counts.values()))
    message = "It went wrong." if state is ImportState.FAILED else None
    return Outcome(state, Counts(**counts), facts, (), message, guard)
