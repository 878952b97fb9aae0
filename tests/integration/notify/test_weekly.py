"""Weekly digests are written once a week for each company that wants them, also over restarts and faults."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ground.moments import from_rfc3339, rfc3339, utc_now
from importer.errors import TryAgain
from importer.model import ImportState
from server.notify import weekly as weekly_module
from server.notify.digest import week_before
from server.notify.layout import Links
from server.notify.outbox import Outbox
from server.notify.weekly import Weekly
from server.tenants.settings import TenantSettings
from server.tenants.soundness import TenantBroken
from server.tenants.tenants import Tenants
from tests.support.installation import open_tenants
from tests.support.queues import House, open_house, run_to
from tests.support.waiting import eventually

WEEK = timedelta(days=7)
WANTED = {"notify_digest": "weekly", "notify_email": "hr@example.com"}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weekly_module, "REST", 0.0)


@dataclass
class Desk:
    """Two companies, of which only acme wants digests, a week after they were added."""

    tenants: Tenants
    house: House
    now: datetime
    read: list[str] = field(default_factory=list)
    fault: Exception | None = None
    off: bool = False

    def start_anew(self) -> Weekly:
        listing, outbox = self.house.queue, Outbox(self.tenants.store.outbox())
        links = Links("https://hr.example.com")
        parts = self.tenants, listing, outbox, self.settings_of, links
        return Weekly(*parts, clock=lambda: self.now, is_off=self.is_off)

    async def is_off(self) -> bool:
        return self.off

    async def settings_of(self, tenant: str) -> TenantSettings:
        self.read.append(tenant)
        if self.fault:
            raise self.fault
        return await self.tenants.settings(tenant)

    async def mails(self, tenant: str = "acme") -> list[dict[str, Any]]:
        return [each.content for each in reversed(await self.tenants.store.outbox().newest(tenant, 100))]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_tenants(tmp_path) as tenants, open_house(tmp_path) as house:
        for name in ("acme", "globex"):
            await tenants.add(name)
        await tenants.change_settings("acme", WANTED)
        yield Desk(tenants, house, utc_now() + WEEK)


async def test_a_digest_is_written_once_a_week_also_over_restarts(desk: Desk) -> None:
    for _ in range(2):
        weekly = desk.start_anew()
        for _ in range(2):
            await weekly.write()
    assert len(await desk.mails()) == 1
    assert await desk.mails("globex") == []
    assert sorted(desk.read) == ["acme", "globex"], "a restart reads no settings again"
    desk.now += WEEK
    await weekly.write()
    assert len(await desk.mails()) == 2


async def test_a_digest_has_the_imports_of_its_week(desk: Desk) -> None:
    await run_to(desk.house.queue, await desk.house.upload(), ImportState.COMPLETED)
    (done,) = await desk.house.queue.applied("acme", 1)
    desk.house.stored.date_tenants("2020-01-01T00:00:00.000Z")
    desk.now = from_rfc3339(done.finished_at or "") + WEEK
    await desk.start_anew().write()
    desk.now += WEEK
    await desk.start_anew().write()
    first, second = await desk.mails()
    day = week_before(desk.now - WEEK).day
    assert first["text"].startswith(f"In the week to {day}, 1 import of acme ended, and there is nothing to do:")
    assert 'href="https://hr.example.com/tenants/acme/imports/1"' in first["html"]
    assert ", no file of acme arrived, and there is nothing to do.\n" in second["text"]


async def test_an_import_that_is_still_held_is_in_every_digest(desk: Desk) -> None:
    await run_to(desk.house.queue, await desk.house.upload(), ImportState.HELD)
    for _ in range(2):
        await desk.start_anew().write()
        desk.now += WEEK
    assert [mail["subject"].endswith(": 1 import needs a decision") for mail in await desk.mails()] == [True, True]


async def test_a_digest_says_that_a_feed_is_stale(desk: Desk) -> None:
    await desk.tenants.change_settings("acme", {"stale_after_days": 3})
    await desk.start_anew().write()
    (mail,) = await desk.mails()
    assert "No file of acme was applied for 3 days." in mail["text"]


async def test_no_digest_is_written_while_sending_is_off(desk: Desk) -> None:
    weekly, desk.off = desk.start_anew(), True
    await weekly._round()
    assert await desk.mails() == []
    desk.off = False
    await weekly._round()
    assert len(await desk.mails()) == 1


async def test_a_digest_that_was_skipped_while_sending_was_off_is_not_written(desk: Desk) -> None:
    weekly = desk.start_anew()
    desk.fault = TryAgain("disk_full", "The disk is full.")
    await weekly._round()
    desk.fault, desk.off = None, True
    await weekly._round()
    await desk.start_anew().skip()
    desk.off = False
    await weekly._round()
    assert await desk.mails() == []
    desk.now += WEEK
    await weekly._round()
    assert len(await desk.mails()) == 1


async def test_a_company_added_after_the_week_has_no_digest_of_it(desk: Desk) -> None:
    desk.now = utc_now()
    await desk.start_anew().write()
    assert await desk.mails() == []
    assert desk.read == []


async def test_a_digest_set_to_weekly_later_begins_with_the_next_week(desk: Desk) -> None:
    weekly = desk.start_anew()
    await weekly.write()
    await desk.tenants.change_settings("globex", WANTED)
    await weekly.write()
    await desk.start_anew().write()
    assert await desk.mails("globex") == []
    desk.now += WEEK
    await weekly.write()
    assert len(await desk.mails("globex")) == 1


@pytest.mark.logs("digest_unwritten")
@pytest.mark.parametrize(
    "fault", [TryAgain("disk_full", "The disk is full."), TenantBroken("acme"), RuntimeError("a fault")]
)
async def test_a_digest_that_fails_is_written_later(
    desk: Desk, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    weekly = desk.start_anew()
    desk.fault = fault
    await weekly.write()
    assert await desk.mails() == []
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert bool(logged) is isinstance(fault, RuntimeError)
    desk.fault = RuntimeError("another fault")
    await weekly.write()
    desk.fault = None
    await weekly.write()
    assert len(await desk.mails()) == 1


async def test_a_removed_tenant_has_no_digest(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    weekly = desk.start_anew()
    desk.fault = TryAgain("disk_full", "The disk is full.")
    await weekly.write()
    desk.fault = None
    await desk.tenants.remove("acme")
    await weekly.write()
    assert caplog.records == []
    assert desk.start_anew()._week is None
    assert desk.house.stored.digests_written() == week_before(desk.now).day


@pytest.mark.logs("digests_unwritten")
async def test_digests_of_an_unreadable_list_of_tenants_are_retried(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(weekly_module, "LOOK_S", 0.01)
    with desk.house.stored.without("tenants"):
        weekly = desk.start_anew()
        weekly.start()
        await eventually(lambda: "The weekly digests cannot be written" in caplog.text)
    await eventually(lambda: desk.house.stored.digests_written() is not None)
    await weekly.stop()
    assert len(await desk.mails()) == 1
    assert rfc3339(datetime.now(UTC)) < rfc3339(desk.now)


async def test_the_digest_of_a_paused_company_names_the_pause_and_asks_for_no_export(desk: Desk) -> None:
    until = rfc3339(utc_now() + 300 * timedelta(days=1))
    pause = {"stale_after_days": 1, "paused_until": until, "paused_because": "Migration"}
    await desk.tenants.change_settings("acme", pause)
    desk.now += timedelta(days=3)
    await desk.start_anew().write()
    (mail,) = await desk.mails()
    assert mail["subject"].endswith("nothing to do")
    assert "The imports of acme are paused until" in mail["text"]
    assert "Reason: Migration" in mail["text"]
    assert "Check that the export runs" not in mail["text"]
    await desk.tenants.change_settings("acme", {"paused_until": None})
    desk.now += WEEK
    await desk.start_anew().write()
    later = (await desk.mails())[-1]
    assert "paused" not in later["text"]
    assert later["subject"].endswith("the export must be checked")
