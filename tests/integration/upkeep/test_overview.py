"""The overview of all tenants: the facts of each line, and that many tenants are as fast as one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.sqlite.server.listing import LAST_SUCCESSES, NEWEST_OF_ALL
from importer.model import ImportState
from importer.queue.queue import Queue
from server.tenants.local.folder import server_database
from server.tenants.tenants import Tenants
from server.upkeep import disk as disk_module
from server.upkeep.counting import Counting
from server.upkeep.disk import DiskUsage
from server.upkeep.metrics import Metrics
from server.upkeep.overview import Overview, TenantFacts
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.installation import Installation, installation
from tests.support.queues import enqueue, run_to
from tests.support.waiting import eventually


class Desk:
    """The operator's overview of two tenants."""

    def __init__(self, stored: Installation, tenants: Tenants, queue: Queue) -> None:
        self.stored = stored
        self.tenants = tenants
        self.queue = queue
        self.now = datetime.now(UTC)
        self.sessions = Counter[str]()
        self.counting = Counting(Metrics(), tenants, queue)
        self.overview = Overview(tenants, queue, self.counting, lambda: self.sessions, lambda: self.now)

    async def line(self, tenant: str = "acme") -> TenantFacts:
        (found,) = [each for each in await self.overview.tenants() if each.tenant.name == tenant]
        return found


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    stored = installation(tmp_path)
    async with stored.open(serving=True) as tenants:
        for name in ("acme", "other"):
            await tenants.add(name)
        desk = Desk(stored, tenants, tenants.store.imports())
        yield desk
        await desk.overview.close()


async def test_a_tenant_without_imports_is_in_the_overview(desk: Desk) -> None:
    lines = await desk.overview.tenants()
    assert [line.tenant.name for line in lines] == ["acme", "other"]
    assert (lines[0].newest, lines[0].feed.last_applied_at, lines[0].feed.stale) == (None, None, None)
    assert (lines[0].users, lines[0].sessions) == ({"active": 0, "deactivated": 0}, 0)


async def test_the_overview_shows_the_newest_import_that_is_not_a_dry_run(desk: Desk) -> None:
    await run_to(desk.queue, await enqueue(desk.queue), ImportState.COMPLETED)
    failed = await enqueue(desk.queue)
    await run_to(desk.queue, failed, ImportState.FAILED)
    await enqueue(desk.queue, dry_run=True)
    line = await desk.line()
    assert line.newest
    assert (line.newest.id, line.newest.state) == (failed, ImportState.FAILED)
    assert line.feed.last_applied_at is not None
    assert (await desk.line("other")).newest is None


async def test_the_overview_shows_current_sessions_and_users(desk: Desk) -> None:
    desk.sessions["acme"] = 2
    user = "(1, 'a@b.test', 'a@b.test', 'A', 'B')"
    desk.stored.change_users("acme", f"INSERT INTO users (id, email, email_key, first_name, last_name) VALUES {user}")
    entry = await run_to(desk.queue, await enqueue(desk.queue), ImportState.COMPLETED)
    await desk.overview.tenants()
    await desk.counting.ended(entry, 1.0)
    line = await desk.line()
    assert (line.users, line.sessions) == ({"active": 1, "deactivated": 0}, 2)


async def test_the_overview_shows_a_stale_feed(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"stale_after_days": 2})
    assert (await desk.line()).feed.stale is False
    desk.now += timedelta(days=2)
    assert (await desk.line()).feed.stale is True


async def test_a_removed_tenant_is_not_in_the_overview(desk: Desk) -> None:
    await desk.overview.tenants()
    await desk.tenants.remove("acme")
    assert [line.tenant.name for line in await desk.overview.tenants()] == ["other"]


async def test_the_disk_usage_of_a_tenant_counts_a_file_with_two_names_once(desk: Desk) -> None:
    before = await desk.tenants.home.bytes_of("acme")
    desk.stored.land("acme", "/sync_users.csv", b"x" * 1_000_000, 1)
    if chosen_engine() == EMBEDDED:
        (desk.tenants.folder("acme").files / "out").symlink_to("/usr")
    added = await desk.tenants.home.bytes_of("acme") - before
    assert 1_000_000 <= added < 1_100_000
    disk = DiskUsage(desk.tenants.home.bytes_of)

    async def is_measured() -> bool:
        return await disk.usage(["acme"]) == {"acme": before + added}

    async def is_shown() -> bool:
        return bool((await desk.line()).disk_bytes)

    await eventually(is_measured)
    await eventually(is_shown)


async def test_the_overview_does_not_wait_for_a_slow_measurement_of_disk_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_module, "WAIT_S", 0.01)
    may_measure = asyncio.Event()

    measured: list[str] = []

    async def slowly(name: str) -> int:
        await may_measure.wait()
        measured.append(name)
        return 7

    disk = DiskUsage(slowly)
    assert await disk.usage(["acme", "other"]) == {}
    may_measure.set()

    async def known() -> bool:
        return await disk.usage(["acme", "other"]) == {"acme": 7, "other": 7}

    await eventually(known)
    assert await disk.usage(["acme"]) == {"acme": 7}
    assert measured == ["acme", "other"]  # it is kept
    await disk.close()


@pytest.mark.only_on("sqlite", "query plans")
@pytest.mark.parametrize("query", [LAST_SUCCESSES, NEWEST_OF_ALL])
async def test_the_overview_is_read_by_index_however_many_imports_exist(desk: Desk, query: str) -> None:
    with closing(sqlite3.connect(server_database(desk.tenants.data_dir))) as db, db:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}")]
    db.close()
    assert all(not step.startswith("SCAN imports") for step in plan), plan
    assert any("imports USING" in step for step in plan)
    assert not any("TEMP B-TREE" in step for step in plan), plan
