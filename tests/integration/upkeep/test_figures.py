"""Figures of each tenant and the metrics of all: they follow every change, and wait for no other writer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from importer.model import ImportState
from server.tenants import figures as figures_module
from server.tenants import soundness as soundness_module
from server.tenants.local import looks as looks_module
from server.upkeep import keeping
from tests.support.queues import NOON, enqueue, run_to
from tests.support.town import take_up_nothing, town
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def every_change_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a file that was written a moment ago as settled: no test changes one twice within a clock tick."""
    monkeypatch.setattr(looks_module, "UNSETTLED_S", -1.0)
    monkeypatch.setattr(keeping, "REST", 0.0)


async def test_figures_follow_every_change_of_users(tmp_path: Path) -> None:
    async with town(tmp_path, 1) as many:
        await many.figures.renew()
        many.add_user("company-0")
        await many.figures.renew()
        assert many.active == {"company-0": 2}
        await many.tenants.change_settings("company-0", {"stale_after_days": None})
        await many.figures.renew()
        assert [each.stale_after_days for each in many.figures.all.values()] == [None]
        many.stored.change_users("company-0", "UPDATE users SET state = 'deactivated'")
        await many.figures.renew()
        assert many.active == {"company-0": 0}


async def test_figures_that_a_crash_made_wrong_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with town(tmp_path, 3) as before:
        await before.scrape()
        await before.figures.write()
        for name in ("company-0", "company-1"):
            before.add_user(name)
    monkeypatch.setattr(figures_module, "STEP", 1)
    monkeypatch.setattr(figures_module, "REST_S", 3600.0)
    monkeypatch.setattr("server.upkeep.counting.WAIT_S", 0.0)
    async with town(tmp_path, 3) as after:
        text = await after.scrape()
        assert after.active == {"company-0": 2, "company-2": 1}, "only so much is read in the time of a caller"
        assert 'state="active",tenant="company-1"' not in text
        await after.figures.stop()
        monkeypatch.setattr(figures_module, "REST_S", 0.0)
        await after.figures.renew(0)
        await eventually(lambda: "company-1" in after.active, what="the rest to be read")
        text = await after.scrape()
        assert 'headcount_users{state="active",tenant="company-1"} 2.0' in text
        await after.figures.stop()


async def test_metrics_do_not_wait_for_figures_that_cannot_be_written(tmp_path: Path) -> None:
    async with town(tmp_path, 1) as many:
        with many.stored.writing("figures"):
            waiting = asyncio.create_task(many.figures.renew())
            await eventually(lambda: many.figures._one_write.locked())
            assert 'headcount_users{state="active"' in await many.scrape()
            assert not waiting.done()
        await waiting


async def test_metrics_are_shown_while_the_imports_cannot_be_read(tmp_path: Path) -> None:
    async with town(tmp_path, 1) as many:
        await enqueue(many.queue, "company-0")
        assert "headcount_import_queue_length 1.0" in await many.scrape()
        with many.stored.without("imports"):
            assert "headcount_import_queue_length 1.0" in await many.scrape()


async def test_a_new_tenant_has_no_figures_of_a_removed_one_of_its_name(tmp_path: Path) -> None:
    async with town(tmp_path, 2) as many:
        await many.rounds()
        await many.tenants.remove("company-1")
        await many.tenants.add("company-1")
        await many.rounds()
        assert many.active == {"company-0": 1, "company-1": 0}
        assert sorted(await many.tenants.store.figures().read()) == ["company-0", "company-1"]


async def test_a_start_checks_many_changed_tenants_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "BEFORE_S", -1.0)
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.01)
    async with town(tmp_path, 5) as many:
        many.spoil_settings("company-3")
        await many.soundness.start(take_up_nothing)
        assert many.soundness.why("company-3") is None
        await eventually(lambda: "is not valid" in (many.soundness.why("company-3") or ""))
        await many.soundness.stop()


async def test_a_start_recovers_work_that_only_the_queue_has(tmp_path: Path) -> None:
    taken: list[str] = []

    async def take_up(tenant: str) -> None:
        taken.append(tenant)

    async with town(tmp_path, 3) as many:
        await many.soundness.look_at_all()
        await run_to(many.queue, await enqueue(many.queue, "company-2"), ImportState.COMPLETED, "company-2")
        owing = await many.queue.lately_moved(soundness_module.LATELY)
        await many.soundness.start(take_up, owing)
        await many.soundness.stop()
    assert taken == ["company-2"]


async def test_a_tenant_is_pruned_again_only_when_more_data_expires(tmp_path: Path) -> None:
    async with town(tmp_path, 3) as many:
        for _ in range(2):
            await run_to(many.queue, await enqueue(many.queue, "company-1"), ImportState.FAILED, "company-1")
        many.now = NOON + timedelta(days=1)
        assert await many.keeper._due() == ["company-1"]
        assert await many.keeper.prune(["company-1"]) == []
        assert await many.keeper._due() == []
        many.now = NOON + timedelta(days=89)
        assert await many.keeper._due() == []
        many.now += timedelta(days=365)
        assert await many.keeper._due() == ["company-1"]
        assert await many.keeper.prune(["company-1"]) == []
        assert await many.keeper._due() == []
        await many.tenants.change_settings("company-1", {"retention_days": 5})
        assert await many.keeper._due() == ["company-1"]


async def test_only_tenants_with_waiting_invitations_are_visited(tmp_path: Path) -> None:
    async with town(tmp_path, 3) as many:
        invite = "INSERT INTO invitations (user_id, import_id, message_id) VALUES (1, 1, 'm')"
        many.stored.change_users("company-1", invite)
        inviter = many.telling._inviter
        assert inviter
        assert await inviter._tenants() == ["company-1"]
