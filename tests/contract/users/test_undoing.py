"""An undo reads what an import changed, and all its writes are kept or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from importer.errors import Stopped, TryAgain
from importer.model import ImportState
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.undoing import Batch, Change, Undoing
from tests.support.importing import Company, people, sheet

NOW = datetime(2026, 2, 1, tzinfo=UTC)
BY_NUMBER: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}


async def only_batch(undoing: Undoing) -> Batch:
    (batch,) = [batch async for batch in undoing.batches()]
    return batch


async def test_the_outcome_of_an_import_and_of_its_undo_is_stored(company: Company) -> None:
    came_to = await company.run(people("ann"))
    async with company.kept.undoing(1, BY_ADDRESS) as undoing:
        assert await undoing.outcome() == (came_to, False)
        assert (await undoing.newest(), await undoing.active()) == (1, 1)
        await undoing.record(replace(came_to, state=ImportState.UNDONE), NOW)
    async with company.kept.undoing(1, BY_ADDRESS) as undoing:
        assert await undoing.outcome() == (came_to, True)
        assert await undoing.newest() is None
    async with company.kept.undoing(2, BY_ADDRESS) as undoing:
        assert await undoing.outcome() is None


async def test_an_undo_skips_an_import_whose_rows_with_changes_were_rejected(company: Company) -> None:
    await company.run(people("ann"))
    rejecting = await company.run(sheet(("Ann", "Smith", "ann@example.com"), ("Bo", "Ng", "bo")))
    assert rejecting.state is ImportState.COMPLETED_WITH_ERRORS
    undone = await company.undo(1)
    assert undone.state is ImportState.UNDONE
    assert {user["state"] for user in (await company.users()).values()} == {"deactivated"}


async def test_an_undo_deactivates_created_users_except_protected_ones(company: Company) -> None:
    await company.run(people("ann", "ben", "cy"))
    assert await company.kept.set_protected("ben@example.com", True, BY_ADDRESS)
    async with company.kept.undoing(1, BY_ADDRESS) as undoing:
        protected, taken_back = await undoing.deactivate_created()
        assert ([user["email"] for user in protected], taken_back) == (["ben@example.com"], 2)
        assert await undoing.active() == 1
    states = {name: user["state"] for name, user in (await company.users()).items()}
    assert states == {"ann@example.com": "deactivated", "ben@example.com": "active", "cy@example.com": "deactivated"}


async def test_changed_fields_come_with_their_users_as_they_are_now(company: Company) -> None:
    await company.run(people("ann", "ben", job_title="Cook", location="Rome"))
    await company.run(people("ann", job_title="Boss", location="Oslo"))
    async with company.kept.undoing(2, BY_ADDRESS) as undoing:
        batch = await only_batch(undoing)
        (user,) = batch.users.values()
        (changes,) = batch.changes.values()
        assert (user["email"], user["job_title"], batch.share) == ("ann@example.com", "Boss", 1.0)
        (moved,) = (change for change in changes if change.field == "location_id")
        assert moved.new == user["location_id"]
        assert Change("job_title", "Cook", "Boss") in changes
        assert await undoing.existing({"location_id": [int(moved.old or 0), 77]}) == {"location_id": {moved.old}}
        await undoing.update([(user, {"job_title": "Cook"})])
        assert (await undoing.set_back_addresses()).set_back == frozenset()
    assert (await company.users())["ann@example.com"]["job_title"] == "Cook"
    async with company.kept.history(BY_ADDRESS) as history:
        undone = [each for each in (await history.page_of_import(2))[0] if each["undo"]]
    assert [(each["field"], each["old"], each["new"]) for each in undone] == [("job_title", "Boss", "Cook")]


async def test_addresses_that_moved_between_users_are_set_back_together(company: Company) -> None:
    header = ("staff", "first_name", "last_name", "email")
    rows = (("1", "Ann", "Ash", "a@example.com"), ("2", "Ben", "Bay", "b@example.com"))
    moved = (("1", "Ann", "Ash", "b@example.com"), ("2", "Ben", "Bay", "c@example.com"))
    await company.run(sheet(*rows, header=header), **BY_NUMBER)
    await company.run(sheet(*moved, header=header), **BY_NUMBER)
    async with company.kept.undoing(2, Identity("staff")) as undoing:
        await only_batch(undoing)
        found = await undoing.set_back_addresses()
        assert (len(found.set_back), found.kept) == (2, [])
    names = {name: user["first_name"] for name, user in (await company.users()).items()}
    assert names == {"a@example.com": "Ann", "b@example.com": "Ben"}


async def test_an_address_that_another_user_has_now_is_not_set_back(company: Company) -> None:
    header = ("staff", "first_name", "last_name", "email")
    for rows in ((("1", "Ann", "Ash", "a@example.com"),), (("1", "Ann", "Ash", "b@example.com"),)):
        await company.run(sheet(*rows, header=header), **BY_NUMBER)
    await company.run(sheet(("2", "Ben", "Bay", "a@example.com"), header=header), **BY_NUMBER)
    async with company.kept.undoing(2, Identity("staff")) as undoing:
        await only_batch(undoing)
        found = await undoing.set_back_addresses()
    assert not found.set_back
    assert [(each.user["first_name"], each.former, each.taken) for each in found.kept] == [
        ("Ann", "a@example.com", True)
    ]


async def test_an_undo_left_by_an_exception_keeps_nothing(company: Company) -> None:
    await company.run(people("ann", "ben"))
    before = await company.users()

    async def stopped() -> None:
        async with company.kept.undoing(1, BY_ADDRESS) as undoing:
            await undoing.deactivate_created()
            raise Stopped("the server is stopping")

    with pytest.raises(Stopped):
        await stopped()
    assert await company.users() == before
    async with company.kept.undoing(1, BY_ADDRESS) as undoing:
        assert await undoing.newest() == 1


async def test_an_import_is_not_undone_if_the_identifier_has_changed(company: Company) -> None:
    await company.run(people("ann"))
    with pytest.raises(TryAgain):
        async with company.kept.undoing(1, Identity("staff")):
            pytest.fail("it is opened")
