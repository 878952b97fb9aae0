"""The queue in headcount.db: on disk at once, read by index, and an error while it cannot be written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.sqlite.server.listing import APPLIED_OF, NEWEST_CHANGE
from engine.sqlite.store import open_store
from importer.errors import DatabaseFault, TryAgain
from importer.model import ImportState
from importer.queue.notices import Notice
from importer.queue.queue import Queue
from tests.support.queues import NOON, enqueue, found, open_house, open_queue, outcome, promise

pytestmark = pytest.mark.only_on("sqlite", "it is about the engine itself")


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    async with open_queue(tmp_path, "acme") as opened:
        yield opened


async def test_an_acknowledged_upload_survives_a_crash_of_the_process(queue: Queue, tmp_path: Path) -> None:
    await enqueue(queue)
    with closing(sqlite3.connect(tmp_path / "headcount.db")) as other, other:
        assert other.execute("SELECT state FROM imports").fetchall() == [("queued",)]
    other.close()


async def test_an_upload_that_cannot_be_queued_raises_an_error(queue: Queue, tmp_path: Path) -> None:
    number = await promise(queue)
    await queue._ledger.db.execute("PRAGMA busy_timeout=1")
    blocker = sqlite3.connect(tmp_path / "headcount.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(TryAgain):
        await queue.landed("acme", number)
    blocker.close()
    assert (await found(queue, number)).state is ImportState.ARRIVING
    await queue.landed("acme", number)
    assert (await found(queue, number)).state is ImportState.QUEUED


@pytest.mark.parametrize("query", [NEWEST_CHANGE, f"SELECT id {APPLIED_OF} ORDER BY applied_number DESC LIMIT 9"])
async def test_the_newest_applied_imports_are_found_by_index(queue: Queue, tmp_path: Path, query: str) -> None:
    with closing(sqlite3.connect(tmp_path / "headcount.db")) as db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("acme",))]
    assert len(plan) == 1, "it is sorted too"
    assert "INDEX imports_applied (tenant=? AND applied_number>?)" in plan[0]


async def test_a_read_only_database_is_reported_to_uploads_and_to_ask_to_write(tmp_path: Path) -> None:
    async with open_queue(tmp_path, "acme"):
        pass
    async with open_store(next(tmp_path.rglob("headcount.db")), serving=True) as store:
        await store.ask_to_write()
        queue = store.looking().imports()
        await queue.newest_move()
        with pytest.raises(TryAgain, match="read-only"):
            await store.looking().ask_to_write()
        with pytest.raises(TryAgain, match="read-only"):
            await promise(queue)


async def test_an_end_that_cannot_be_written_sends_no_notice(tmp_path: Path) -> None:
    async with open_house(tmp_path, "acme") as house:
        entry = await house.queue.claim("acme", await enqueue(house.queue))
        assert entry
        broken = Notice("acme", "pigeon", "import 1", "{}")  # type: ignore[arg-type]
        with pytest.raises(DatabaseFault):
            await house.queue.finish(
                entry.ended(outcome(ImportState.COMPLETED), NOON), published=True, notices=[broken]
            )
        assert await house.store.outbox().newest("acme", 1) == []
        assert (await found(house.queue, 1)).state is ImportState.RUNNING
