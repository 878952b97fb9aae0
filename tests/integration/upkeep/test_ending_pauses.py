"""A day before a pause ends, its company is notified once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.outbox import Message
from ground.moments import rfc3339
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.tenants.pauses import Span
from server.tenants.tenants import Tenants
from server.upkeep.ending_pauses import ends_soon
from server.upkeep.keeping import Keeper
from server.upkeep.metrics import Metrics
from tests.support.installation import Installation, installation
from tests.support.queues import enqueue
from tests.support.waiting import eventually

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Watch:
    """The notifications of acme, and the keeper that asks for them."""

    def __init__(self, stored: Installation, tenants: Tenants) -> None:
        self.stored = stored
        self.tenants = tenants
        self.begin = self.now = datetime.now(UTC)

    def keeper(self) -> Keeper:
        """Return a keeper as a new server has it."""
        outbox = Outbox(self.tenants.store.outbox())
        tell = Notifications(self.stored.settings(), self.tenants, outbox, Metrics())
        return Keeper(self.tenants, self.tenants.store.imports(), lambda: self.now, tell)

    async def look(self) -> list[Message]:
        await self.keeper()._pauses.look()
        return await self.tenants.store.outbox().newest("acme", 10)

    async def pause(self, days: float) -> str:
        until = rfc3339(self.begin + days * DAY)
        await self.tenants.change_settings("acme", {"paused_until": until, "paused_because": "Migration"})
        return until


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    stored = installation(tmp_path)
    async with stored.open() as tenants:
        for name in ("acme", "globex"):
            await tenants.add(name)
        both = {"notify_email": "hr@example.com", "notify_webhook": "https://example.com/"}
        await tenants.change_settings("acme", both)
        yield Watch(stored, tenants)


async def test_a_pause_is_notified_once_a_day_before_its_end(watch: Watch) -> None:
    until = await watch.pause(5)
    for _ in range(2):
        await enqueue(watch.tenants.store.imports())
    watch.now += 3.9 * DAY
    assert await watch.look() == []
    watch.now += 0.2 * DAY
    webhook, mail = await watch.look()
    assert {webhook.topic, mail.topic} == {f"pause until {until}"}
    assert webhook.content["type"] == "feed.paused_ending"
    assert webhook.content["data"] == {
        "tenant": "acme",
        "paused_until": until,
        "paused_because": "Migration",
        "waiting": 2,
    }
    assert mail.content["subject"] == "[Headcount] acme: the pause ends within a day"
    first, where, waiting, reason, *_ = mail.content["text"].split("\n\n")
    assert first.startswith("The pause of acme ends at 20")
    assert "extend it before then if imports must wait longer" in first
    assert where.startswith("The page Imports lists all uploads.")
    assert waiting.startswith("2 files wait. At the end of the pause")
    assert reason == "Reason: Migration"
    assert len(await watch.look()) == 2, "also after a restart"
    await watch.pause(9)
    assert len(await watch.look()) == 2
    watch.now += 4 * DAY
    assert len(await watch.look()) == 4, "the new end of the pause"


async def test_a_pause_that_is_over_or_short_is_not_notified(watch: Watch) -> None:
    await watch.pause(0.5)
    assert await watch.look() == []
    await watch.pause(5)
    await watch.tenants.change_settings("acme", {"paused_until": None})
    watch.now += 4.5 * DAY
    assert await watch.look() == []


@pytest.mark.only_on("sqlite", "other engines ask the settings, and mark no tenant")
async def test_only_tenants_that_were_paused_are_looked_at(watch: Watch) -> None:
    mark = watch.tenants.folder("acme").paused
    assert not mark.exists()
    await watch.pause(5)
    assert mark.exists()
    await watch.look()
    assert mark.exists()
    await watch.tenants.change_settings("acme", {"paused_until": None})
    await watch.look()
    assert not mark.exists()


@pytest.mark.logs("pause_untold")
async def test_a_tenant_that_cannot_be_read_keeps_no_other_one_from_its_notification(watch: Watch) -> None:
    await watch.tenants.change_settings("globex", {"paused_until": rfc3339(watch.begin + DAY)})
    await watch.pause(5)
    watch.now += 4.5 * DAY
    with watch.stored.broken("globex"):
        assert len(await watch.look()) == 2


async def test_the_rounds_of_the_server_look_at_pauses(watch: Watch) -> None:
    await watch.pause(5)
    watch.now += 4.5 * DAY
    keeper = watch.keeper()
    keeper.start()
    try:
        await eventually(lambda: watch.tenants.store.outbox().newest("acme", 10), what="the notification")
    finally:
        await keeper.stop()


def test_a_pause_ends_soon_within_a_day_of_its_end() -> None:
    assert ends_soon([Span(NOW - 9 * DAY, NOW - 8 * DAY), Span(NOW - DAY, NOW + DAY)], NOW)
    assert not ends_soon([Span(NOW - DAY, NOW + 1.1 * DAY)], NOW)
    assert not ends_soon([Span(NOW - 0.1 * DAY, NOW + 0.9 * DAY)], NOW), "it lasts a day"
    assert not ends_soon([Span(NOW - 9 * DAY, NOW)], NOW), "it is over"
    assert not ends_soon([], NOW)
