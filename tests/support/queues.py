"""A queue on a real database, and imports in it, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from importer.database import open_database, transaction
from importer.entry import Entry
from importer.folder import TenantFolder
from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState, Outcome
from importer.queue import Queue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GUARD = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 20, 15)


@asynccontextmanager
async def open_queue(data: Path, *tenants: str) -> AsyncIterator[Queue]:
    """The queue of the data folder `data`, in which these tenants exist."""
    db = await open_database(data / "headcount.db", "server")
    try:
        async with transaction(db):
            for name in tenants:
                await db.execute("INSERT OR IGNORE INTO tenants (name, created_at) VALUES (?, ?)", (name, "2026"))
                make_folder(data, name)
        yield Queue(db)
    finally:
        await db.close()


def make_folder(data: Path, tenant: str) -> TenantFolder:
    folder = TenantFolder(data / "tenants" / tenant)
    for each in (folder.files / "test", folder.results, folder.uploads, folder.messages):
        each.mkdir(parents=True, exist_ok=True)
    return folder


async def promise(queue: Queue, tenant: str = "acme", *, dry_run: bool = False, size: int = 5) -> int:
    """An upload that is arriving."""
    path = "/test/sync_users.csv" if dry_run else "/sync_users.csv"
    return await queue.arriving(tenant, path, size=size, written=None, uploaded_at=NOON, dry_run=dry_run)


async def enqueue(queue: Queue, tenant: str = "acme", *, dry_run: bool = False) -> int:
    """An upload that has landed."""
    import_id = await promise(queue, tenant, dry_run=dry_run)
    await queue.landed(tenant, import_id)
    return import_id


async def found(queue: Queue, import_id: int, tenant: str = "acme") -> Entry:
    entry = await queue.get(tenant, import_id)
    assert entry
    return entry


async def run_to(queue: Queue, import_id: int, state: ImportState, tenant: str = "acme") -> Entry:
    """Start a queued import and end it in `state`."""
    entry = await queue.claim(tenant, import_id)
    assert entry
    ended = entry.ended(outcome(state), NOON)
    assert await queue.finish(ended, published=True)
    return ended


def outcome(state: ImportState, **counts: int) -> Outcome:
    guard = GUARD if state is ImportState.HELD else None
    facts = FileFacts("sync_users.csv", 5, "ab" * 32, sum(counts.values()))
    message = "It went wrong." if state is ImportState.FAILED else None
    return Outcome(state, Counts(**counts), facts, (), message, guard)
