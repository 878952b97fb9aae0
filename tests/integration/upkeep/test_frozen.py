"""A process that was frozen while it measured a step, for example by `docker pause`, soon goes on with its work."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from ground.moments import utc_now
from server import rounds
from server.notify import weekly
from server.notify.layout import Links
from server.notify.outbox import Outbox
from server.notify.weekly import Weekly
from server.upkeep import keeping
from server.upkeep.keeping import Keeper
from tests.support.installation import open_tenants
from tests.support.queues import open_house
from tests.support.waiting import DEADLINE_S

NAMES = ["acme", "globex"]


class Frozen:
    """A `time` in which a day passes between any two looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 24 * 3600.0
        return self.now


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LONGEST_REST_S", 0.01)
    for module in (keeping, weekly):
        monkeypatch.setattr(module, "time", Frozen())


async def test_a_process_that_was_frozen_prunes_the_next_tenant_soon(tmp_path: Path) -> None:
    async with open_tenants(tmp_path) as tenants, open_house(tmp_path) as house:
        for name in NAMES:
            await tenants.add(name)
        async with asyncio.timeout(DEADLINE_S):
            assert await Keeper(tenants, house.queue, utc_now).prune(NAMES) == []


async def test_a_process_that_was_frozen_writes_the_next_digest_soon(tmp_path: Path) -> None:
    async with open_tenants(tmp_path) as tenants, open_house(tmp_path) as house:
        for name in NAMES:
            await tenants.add(name)
        outbox, links = Outbox(tenants.store.outbox()), Links("https://hr.example.com")
        next_week = utc_now() + timedelta(days=7)
        async with asyncio.timeout(DEADLINE_S):
            await Weekly(tenants, house.queue, outbox, tenants.settings, links, clock=lambda: next_week).write()
        assert house.stored.digests_written() is not None
