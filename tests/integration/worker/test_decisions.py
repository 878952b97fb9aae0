"""Decisions about held imports: an approval covers only the users that were shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from importer.errors import Refused
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.worker.decisions import approve, deactivations_shown
from tests.support.queues import GUARD, House, found, open_house, outcome, run_to


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme") as built:
        yield built


def list_of(*users: tuple[str, int | None]) -> str:
    lines = [json.dumps({"action": action, "user_id": user, "email": None}) for action, user in users]
    return "\n".join(lines) + "\n"


def keep_list(house: House, number: int, *losing: int) -> None:
    """Keep the list of the users that an import would deactivate."""
    text = list_of(*(("deactivated", user) for user in losing))
    house.stored.keep("acme", f"messages/{number}.touched.jsonl", text.encode())


async def held(house: House, *losing: int) -> Entry:
    """Return an import that is held for these users, with its list."""
    number = await house.upload()
    keep_list(house, number, *losing)
    await run_to(house.queue, number, ImportState.HELD)
    return await found(house.queue, number)


async def hold_again(house: House, entry: Entry, *losing: int) -> None:
    """Let another person approve the import; it runs, writes another list and is held for it, a minute later."""
    running = await house.queue.claim(*entry.key)
    assert running
    keep_list(house, entry.id, *losing)
    later = datetime.fromisoformat(entry.finished_at or "") + timedelta(minutes=1)
    assert await house.queue.finish(running.ended(outcome(ImportState.HELD), later), published=True)


async def refused(house: House, seen: Entry, held_at: str | None = None) -> str:
    with pytest.raises(Refused) as error:
        await approve(house.queue, house.folder(), seen, archive=house.archive, by="operator", held_at=held_at)
    return error.value.code


async def test_an_approval_is_for_the_reasons_and_the_users_that_were_shown(house: House) -> None:
    approved = await approve(house.queue, house.folder(), await held(house, 4, 6), archive=house.archive, by="ann")
    assert approved.state is ImportState.QUEUED
    assert approved.approval
    assert (approved.approval.by, approved.approval.users) == ("ann", {4, 6})
    assert approved.approval.reasons == GUARD.reasons


async def test_an_import_held_again_since_it_was_read_is_not_approved(house: House) -> None:
    seen = await held(house, 4)
    await approve(house.queue, house.folder(), seen, archive=house.archive, by="ann")
    await hold_again(house, seen, 4, 6)
    assert await refused(house, seen) == "held_again"
    assert (await found(house.queue, seen.id)).state is ImportState.HELD
    assert (
        await approve(house.queue, house.folder(), await found(house.queue, seen.id), archive=house.archive, by="bo")
    ).approval


async def test_an_import_held_again_since_its_page_was_shown_is_not_approved(house: House) -> None:
    shown = await held(house, 4)
    await approve(house.queue, house.folder(), shown, archive=house.archive, by="ann")
    await hold_again(house, shown, 4, 6)
    now = await found(house.queue, shown.id)
    assert await refused(house, now, shown.finished_at) == "held_again"
    assert (
        await approve(house.queue, house.folder(), now, archive=house.archive, by="bo", held_at=now.finished_at)
    ).approval


async def test_an_import_that_ran_when_it_was_read_is_not_approved_once_it_is_held(house: House) -> None:
    before = await held(house, 4)
    ran = await approve(house.queue, house.folder(), before, archive=house.archive, by="ann")
    assert await refused(house, ran) == "not_held"
    await hold_again(house, before, 4, 6)
    assert await refused(house, ran) == "held_again"


def test_the_list_shown_has_the_users_to_deactivate(tmp_path: Path) -> None:
    shown = tmp_path / "1.touched.jsonl"
    assert deactivations_shown(shown) == frozenset()
    users = [("deactivated", 4), ("created", None), ("updated", 5), ("deactivated", 6)]
    shown.write_text(list_of(*users))
    assert deactivations_shown(shown) == {4, 6}
