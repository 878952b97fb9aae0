"""A pause of a feed, on the real queue with a real worker: files wait, and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from ground.moments import rfc3339
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.rules.settings import ImportSettings
from importer.worker import decisions
from importer.worker import worker as worker_module
from importer.worker.attempt import Later, Starter
from importer.worker.turns import Turns
from importer.worker.worker import Worker
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantSettings
from tests.integration.worker.test_worker import Clock
from tests.support.importing import people
from tests.support.queues import House, found, open_house
from tests.support.waiting import eventually

STAFF = ("ann", "bob", "cy", "di", "ed", "flo", "gus", "hal", "ida", "jo")


class Yard(House):
    """A house whose feed can be paused, and whose clock the test sets."""

    settings = TenantSettings()
    clock = Clock()

    async def settings_of(self, tenant: str) -> ImportSettings:
        return self.settings

    @property
    def starter(self) -> Starter:
        return Starter(
            *(self.folder, self.users, self.settings_of, self.clock, self.queue.checksums),
            pause_of=pause_of,
            archive=self.archive,
        )

    def pause(self, hours: float = 1, **others: object) -> None:
        until = rfc3339(self.clock.now + timedelta(hours=hours))
        self.settings = TenantSettings.model_validate(
            {**others, "paused_until": until, "paused_because": "Migration"}
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        worker = Worker(self.queue, self.closing, self.starter)
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop(5)

    async def becomes(self, number: int, state: ImportState) -> Entry:
        async def there() -> bool:
            return (await found(self.queue, number)).state is state

        await eventually(there, what=f"import {number} to be {state}")
        return await found(self.queue, number)

    async def says(self, number: int, beginning: str | None) -> None:
        async def there() -> bool:
            message = (await found(self.queue, number)).message
            return message is None if beginning is None else (message or "").startswith(beginning)

        await eventually(there, what=f"import {number} to say {beginning}")

    async def import_(self, *names: str, dry_run: bool = False) -> int:
        return await self.upload(people(*names).decode(), dry_run=dry_run)


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.02)
    async with open_house(tmp_path, "acme", "globex") as house:
        yard = Yard(house.stored, house.store)
        yard.clock = Clock()
        yield yard


async def test_paused_imports_wait_with_the_reason_and_run_in_order_when_the_time_comes(yard: Yard) -> None:
    yard.pause()
    first, second = await yard.import_("ann"), await yard.import_("ann", "bob")
    async with yard.working():
        moved = await yard.queue.newest_move()
        await yard.says(first, "Paused until 20")
        await yard.says(second, "Paused until 20")
        assert (await found(yard.queue, second)).message.endswith("UTC: Migration")  # type: ignore[union-attr]
        await eventually(lambda: _moved(yard, moved), what="open pages to be told")
        assert (await found(yard.queue, first)).state is ImportState.QUEUED
        yard.clock.now += timedelta(hours=1)
        await yard.becomes(second, ImportState.COMPLETED)
        assert (await found(yard.queue, first)).message is None
    assert yard.watching.ends == [(first, ImportState.COMPLETED), (second, ImportState.COMPLETED)]


async def _moved(yard: Yard, before: int) -> bool:
    return await yard.queue.newest_move() > before


async def test_a_pause_that_is_reset_ends_at_once_after_a_restart_too(yard: Yard) -> None:
    yard.pause()
    number = await yard.import_("ann")
    async with yard.working():
        await yard.says(number, "Paused until")
    async with yard.working():
        dry = await yard.import_("ann", dry_run=True)
        await yard.becomes(dry, ImportState.COMPLETED)
        assert (await found(yard.queue, number)).state is ImportState.QUEUED
        yard.settings = TenantSettings()
        await yard.becomes(number, ImportState.COMPLETED)


async def test_dry_runs_approvals_and_undo_go_on_during_a_pause(yard: Yard) -> None:
    yard.settings = TenantSettings(deactivate_missing=True, max_deactivations_min=0, detect_truncation=False)
    await yard.import_(*STAFF)
    async with yard.working():
        await yard.becomes(1, ImportState.COMPLETED)
        await yard.import_(*STAFF[:5])
        await yard.becomes(2, ImportState.HELD)
        yard.pause(deactivate_missing=True, max_deactivations_min=0, detect_truncation=False)
        await yard.import_(*STAFF[:8])
        await yard.says(3, "Paused until")
        await yard.import_(*STAFF, dry_run=True)
        await yard.becomes(4, ImportState.UNCHANGED)
        held = await found(yard.queue, 2)
        assert held.state is ImportState.HELD
        await decisions.approve(yard.queue, yard.folder(), held, archive=yard.archive, by="Ann")
        await yard.becomes(2, ImportState.COMPLETED)
        await yard.queue.undo("acme", 2, by="Ann", pause=pause_of(yard.settings, yard.clock.now))
        await yard.becomes(2, ImportState.UNDONE)
        assert (await found(yard.queue, 3)).state is ImportState.QUEUED
        yard.clock.now += timedelta(hours=1)
        await yard.becomes(3, ImportState.HELD)


async def test_a_newer_list_supersedes_a_paused_one_when_it_lands(yard: Yard) -> None:
    yard.pause(deactivate_missing=True)
    await yard.import_("ann")
    await yard.import_("ann", "bob")
    await Turns(yard.queue, yard.closing, yard.starter).give_way("acme")
    assert (await found(yard.queue, 1)).state is ImportState.SUPERSEDED
    assert yard.copy(1) is None
    assert (await found(yard.queue, 2)).state is ImportState.QUEUED


async def test_a_longer_pause_and_a_shorter_one_show_in_the_message(yard: Yard) -> None:
    yard.pause(1)
    number = await yard.import_("ann")
    async with yard.working():
        await yard.says(number, pause_of(yard.settings, yard.clock.now).message)  # type: ignore[union-attr]
        yard.pause(48)
        await yard.says(number, pause_of(yard.settings, yard.clock.now).message)  # type: ignore[union-attr]


async def test_an_import_that_waits_for_another_says_nothing_of_a_pause_that_is_over(yard: Yard) -> None:
    yard.pause()
    first, second = await yard.import_("ann"), await yard.import_("bob")
    turns = Turns(yard.queue, yard.closing, yard.starter)
    assert await turns.due("acme") is None
    await yard.says(second, "Paused until")
    yard.settings = TenantSettings()
    due = await turns.due("acme")
    assert due
    assert due.id == first
    await yard.says(second, None)


async def test_an_import_that_was_claimed_as_the_pause_began_is_queued_again(yard: Yard) -> None:
    number = await yard.import_("ann")
    entry = await yard.queue.claim("acme", number)
    assert entry
    yard.pause()
    assert await yard.starter.attempt(entry, progress=lambda _: None, stopping=lambda: False) == Later()
    assert await yard.users().count_by_state() == {"active": 0, "deactivated": 0}


async def test_a_paused_tenant_keeps_no_other_one_waiting(yard: Yard) -> None:
    yard.pause()
    await yard.import_("ann")

    async def of_one(tenant: str) -> ImportSettings:
        return yard.settings if tenant == "acme" else TenantSettings()

    yard.settings_of = of_one  # type: ignore[method-assign]
    await yard.upload(people("bob").decode(), "globex")
    async with yard.working():
        await eventually(lambda: yard.watching.ends == [(1, ImportState.COMPLETED)])
    assert (await found(yard.queue, 1)).state is ImportState.QUEUED
