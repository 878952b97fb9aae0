"""The worker logs what fails for now, and goes on later."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ground.waits import Growing
from importer.errors import TryAgain
from importer.model import ImportState, Outcome
from importer.rules.settings import ImportSettings
from importer.worker import worker as worker_module
from importer.worker.attempt import Later, Starter, known_end
from importer.worker.worker import Worker
from tests.support.importing import people
from tests.support.queues import House, found, open_house
from tests.support.waiting import eventually


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.02)
    monkeypatch.setattr(worker_module, "WAITS", Growing(0.01, 0.01))
    async with open_house(tmp_path, "acme") as house:
        yield house


async def settings_of(tenant: str) -> ImportSettings:
    return ImportSettings()


@asynccontextmanager
async def working(house: House) -> AsyncIterator[None]:
    starter = Starter(
        house.folder,
        house.users,
        settings_of,
        lambda: datetime.now(UTC),
        house.queue.checksums,
        archive=house.archive,
    )
    worker = Worker(house.queue, house.closing, starter)
    worker.start()
    try:
        yield
    finally:
        await worker.stop(0)


def failing_once(method: Callable[..., Awaitable[Any]], error: Exception) -> Callable[..., Awaitable[Any]]:
    """Replace the method by one whose first call raises `error`."""
    errors = [error]

    async def fails(*args: Any, **kwargs: Any) -> Any:
        if errors:
            raise errors.pop()
        return await method(*args, **kwargs)

    return fails


async def completes(house: House) -> None:
    await house.upload(people("ann").decode())
    async with working(house):

        async def completed() -> bool:
            return (await found(house.queue, 1)).state is ImportState.COMPLETED

        await eventually(completed, what="the import to be completed")


@pytest.mark.logs("queue_waits")
async def test_a_queue_that_cannot_be_read_is_retried(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        house.queue, "first_heads", failing_once(house.queue.first_heads, TryAgain("busy", "the database is busy"))
    )
    await completes(house)


@pytest.mark.logs("worker_fault")
async def test_an_internal_error_in_the_search_for_imports_stops_no_import(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.queue, "first_heads", failing_once(house.queue.first_heads, RuntimeError("a fault")))
    await completes(house)


@pytest.mark.logs("end_owed")
async def test_an_end_that_cannot_be_written_is_retried(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        house.closing, "finish", failing_once(house.closing.finish, TryAgain("disk_full", "the disk is full"))
    )
    await completes(house)


@pytest.mark.logs("users_unreadable")
async def test_an_end_that_cannot_be_read_counts_as_not_applied(house: House) -> None:
    await house.upload(people("ann").decode())
    entry = await found(house.queue, 1)
    columns = "import_id, number, applied_at, outcome, rows, compared"
    values = """1, 1, '2026', '{"state": "lost"}', 0, false"""
    house.stored.change_users("acme", f"INSERT INTO applied ({columns}) VALUES ({values})")
    assert await known_end(house.users(), entry) is None
    house.stored.change_users("acme", "DELETE FROM applied")
    async with working(house):
        await eventually(lambda: house.shown(1), what="the report")
    assert await known_end(house.users(), entry)


async def test_an_import_whose_end_cannot_be_read_now_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> Outcome:
        raise RuntimeError("a fault after the commit")

    await house.upload(people("ann").decode())
    entry = await house.queue.claim("acme", 1)
    assert entry
    users, away = house.users(), TryAgain("database_busy", "the database is away")
    monkeypatch.setattr(users, "outcome_of", failing_once(users.outcome_of, away))
    starter = Starter(
        house.folder,
        lambda _: users,
        settings_of,
        lambda: datetime.now(UTC),
        house.queue.checksums,
        archive=house.archive,
        run=fails,
    )
    end = await starter.attempt(entry, progress=lambda _: None, stopping=lambda: False)
    assert end == Later("Not yet: the database is away. The server tries again.")


@pytest.mark.logs("import_left")
async def test_an_end_that_fails_leaves_the_import_running_until_the_next_start(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(house.closing, "finish", failing_once(house.closing.finish, RuntimeError("a fault")))
    await house.upload(people("ann").decode())
    async with working(house):
        await eventually(lambda: "could not be ended; the next start" in caplog.text)
        assert (await found(house.queue, 1)).state is ImportState.RUNNING
