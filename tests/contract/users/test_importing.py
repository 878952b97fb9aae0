"""An import reads and writes users, and all its writes are kept or none."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from importer.errors import Refused, Stopped, TryAgain
from importer.model import Counts, FileFacts, ImportState, Outcome
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.columns import NEW_USER, Columns, Value
from importer.users.importing.addresses import Losing, SetAside
from importer.users.importing.applied import LastApplied
from importer.users.importing.before import FileKept
from importer.users.importing.importing import Importing
from importer.users.importing.later import DroppedRow
from importer.users.importing.links import ToDeactivated, Waiting
from tests.support.importing import Company, people, sheet

T = TypeVar("T")
STAFF = Identity("staff")
BY_NUMBER: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}
LEAVING: dict[str, Any] = {"max_deactivations_percent": 100, "detect_truncation": False, "deactivate_missing": True}
NOW = datetime(2026, 2, 1, tzinfo=UTC)
COMPLETED = Outcome(ImportState.COMPLETED, Counts(created=2), FileFacts("sync_users.csv", 9))


def importing(
    company: Company, number: int = 2, identity: Identity = BY_ADDRESS
) -> AbstractAsyncContextManager[Importing]:
    return company.kept.importing(number, identity, lambda work: work())


def user(user_id: int, name: str, **columns: Value) -> tuple[Value, ...]:
    address = f"{name}@example.com"
    known: Columns = {"first_name": name, "last_name": "S", "email": address, "email_key": address}
    return user_id, *(NEW_USER | known | columns).values()


async def all_of(pages: AsyncIterator[list[T]]) -> list[T]:
    return [each async for page in pages for each in page]


async def test_the_writes_of_an_import_are_visible_only_to_itself_until_it_ends(company: Company) -> None:
    async with importing(company) as keeps:
        await keeps.users.create([user(1, "ann"), user(2, "ben")])
        assert await keeps.users.find(["ben@example.com", "cy@example.com"]) == {"ben@example.com": 2}
        assert await company.users() == {}
    assert list(await company.users()) == ["ann@example.com", "ben@example.com"]


async def test_an_interrupted_import_keeps_nothing(company: Company) -> None:
    left: list[Callable[[], None]] = []

    async def interrupted() -> None:
        async with company.kept.importing(2, BY_ADDRESS, left.append) as keeps:
            await keeps.users.create([user(1, "ann")])
            await keeps.applied.record(COMPLETED, NOW, None, [], compared=True)
            raise Stopped("the server is stopping")

    with pytest.raises(Stopped):
        await interrupted()
    assert await company.users() == {}
    assert await company.kept.outcome_of(2) is None
    assert left == []


async def test_an_applied_import_and_its_undo_have_their_outcomes_stored(company: Company) -> None:
    done = await company.run(people("ann"))
    assert (await company.kept.outcome_of(1), await company.kept.outcome_of_undo(1)) == (done, None)
    undone = await company.undo()
    assert await company.kept.outcome_of_undo(1) == undone
    assert await company.kept.outcome_of(2) is None


async def test_the_beginning_of_an_import_counts_the_existing_users(company: Company) -> None:
    async with importing(company) as keeps:
        found = await keeps.users.beginning()
        assert (found.highest_id, found.total) == (0, 0)
    await company.run(people("ann", "ben", "cy", "dora"))
    await company.run(people("ann", "ben", "cy"), **LEAVING)
    await company.run(people("ann", "ben", "cy", "eve"))
    await company.undo()
    async with importing(company, 4) as keeps:
        found = await keeps.users.beginning()
        assert (found.highest_id, found.total, found.deactivated, found.unknown) == (5, 5, 2, 1)
        assert await keeps.users.deactivated() == [4, 5]
        assert await keeps.users.find(["eve@example.com"]) == {}
        assert await keeps.users.find_unknown(["eve@example.com", "ann@example.com"]) == {"eve@example.com": 5}
        assert list(await keeps.users.load([3, 4, 9])) == [3, 4]
        assert list(await keeps.users.load([3, 4], active=True)) == [3]


async def test_an_import_waits_if_the_identifier_has_changed(company: Company) -> None:
    await company.run(people("ann", staff="1"), custom_fields=({"key": "staff"},))
    async with importing(company) as keeps:
        await keeps.users.use_identity(tried=False)
    with pytest.raises(TryAgain):
        async with importing(company, identity=STAFF) as keeps:
            await keeps.users.use_identity(tried=False)


async def test_another_identifier_can_be_tested_for_one_import_alone(company: Company) -> None:
    await company.run(people("ann", staff="1"), custom_fields=({"key": "staff"},))

    async def trial() -> None:
        async with importing(company, identity=STAFF) as keeps:
            await keeps.users.use_identity(tried=True)
            assert await keeps.users.find(["1"]) == {"1": 1}
            raise Stopped("it was a trial")

    with pytest.raises(Stopped):
        await trial()
    with pytest.raises(Refused):
        async with importing(company, identity=Identity("room")) as keeps:
            await keeps.users.use_identity(tried=True)
    async with importing(company) as keeps:
        assert await keeps.users.find(["ann@example.com"]) == {"ann@example.com": 1}


async def test_the_changes_of_an_import_are_in_its_history(company: Company) -> None:
    await company.run(people("ann", hire_date="2024-01-01"))
    async with importing(company) as keeps:
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"hire_date": "2025-05-05", "job_title": "Cook"})])
        await keeps.users.create([user(2, "ben"), user(3, "cy")])
        await keeps.users.note_created([2, 3], [])
        changed = await all_of(keeps.applied.changed())
    assert [(each.user_id, each.identifier, each.created, each.moved) for each in changed] == [
        (1, "ann@example.com", False, False),
        (2, "ben@example.com", True, False),
        (3, "cy@example.com", True, False),
    ]
    async with company.kept.history(BY_ADDRESS) as history:
        found, _ = await history.page_of_import(2)
    assert [(each["identifier"], each["field"]) for each in found] == [
        ("ann@example.com", "hire_date"),
        ("ann@example.com", "job_title"),
        ("ben@example.com", "created"),
        ("cy@example.com", "created"),
    ]


async def test_an_unknown_user_named_again_keeps_the_same_id(company: Company) -> None:
    await company.run(people("ann"))
    await company.undo()
    async with importing(company) as keeps:
        await keeps.users.create_again([user(1, "ann", job_title="Cook")])
        assert await keeps.users.find(["ann@example.com"]) == {"ann@example.com": 1}
    assert (await company.users())["ann@example.com"]["job_title"] == "Cook"


async def test_teams_and_unknown_users_are_found_by_their_keys(company: Company) -> None:
    async with importing(company) as keeps:
        await keeps.users.expect_all_new()
        await keeps.users.make("teams", {"north": "North", "south": "South"})
        assert await keeps.users.ids_of("teams", ["south", "west"]) == {"south": 2}
        assert await keeps.users.ids_of("locations", ["south"]) == {}
        await keeps.users.add_strangers({"x": 4, "y": -7})
        assert await keeps.users.strangers(["y", "z"]) == {"y": -7}
        await keeps.users.index_links()


async def test_waiting_links_come_in_the_order_of_lines(company: Company) -> None:
    await company.run(people("ann", "ben"))
    late, soon = (
        Waiting(1, 9, {"coach": "x"}, False, True, False),
        Waiting(2, 3, {"manager": "y"}, True, False, True),
    )
    async with importing(company) as keeps:
        await keeps.links.wait([late, soon])
        assert await keeps.links.waiting(0) == [soon, late]
        assert await keeps.links.waiting(3) == [late]
        assert await keeps.links.holders(["ben@example.com", "x"]) == {"ben@example.com": 2}


async def test_links_of_new_users_and_their_targets_are_found(company: Company) -> None:
    await company.run(people("ann", "ben"))
    async with importing(company) as keeps:
        await keeps.users.create([user(3, "cy"), user(4, "dora")])
        await keeps.links.link_new([(4, 1, 3), (3, None, 4)])
        assert sorted(await keeps.links.managers()) == [(3, 4), (4, 3)]
        assert await keeps.links.with_changed_manager(3) <= {3, 4}
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"state": "deactivated"})])
        assert await all_of(keeps.links.to_deactivated("coach", 3)) == [
            ToDeactivated(3, "cy@example.com", "ann@example.com")
        ]
        assert await all_of(keeps.links.to_deactivated("manager", 3)) == []


async def test_rows_that_clash_over_an_address_are_found(company: Company) -> None:
    header = ("first_name", "last_name", "email", "staff")
    rows = [(name, "S", f"{name}@e.com", str(at)) for at, name in enumerate(("ann", "ben", "cy", "dora"), 1)]
    await company.run(sheet(*rows, header=header), **BY_NUMBER)
    await company.run(sheet(*rows[:3], header=header), **BY_NUMBER, **LEAVING)

    def wants(user_id: int, line: int, email: str, state: str = "active") -> SetAside:
        columns: dict[str, Value] = {"email": email, "email_key": email}
        return SetAside(user_id, line, "", columns, state, False, {}, f"{user_id}@e.com", None, False)

    async with importing(company, 3, STAFF) as keeps:
        await keeps.addresses.add(
            [wants(1, 2, "dora@e.com"), wants(2, 3, "cy@e.com"), wants(5, 4, "cy@e.com", "gone")]
        )
        assert await keeps.addresses.taken(["ann@e.com", "new@e.com"]) == {"ann@e.com"}
        assert await keeps.addresses.settle() == [Losing(4, 2, to_new=False)]
        assert [row.user_id for row in await all_of(keeps.addresses.applicable())] == [1]
        assert [(row.user_id, row.clash) for row in await all_of(keeps.addresses.rejected())] == [(2, 3)]
        assert [(row.user_id, row.clash) for row in await all_of(keeps.addresses.leavers())] == [(5, 2)]


async def test_waiting_rows_are_dropped_with_their_text(company: Company) -> None:
    async with importing(company) as keeps:
        await keeps.later.add_leavers([(2, "two"), (3, "three")])
        await keeps.later.add_duplicates([(5, "five", 4)])
        assert await keeps.later.add_displaced([(3, 4), (6, 4)]) == 1, "the other waits"
        assert await keeps.later.leavers(0) == [(2, "two"), (3, "three")]
        await keeps.later.drop_waiting([(4, True, 3)])
        assert await keeps.later.leavers(0) == [(2, "two")]
        assert await keeps.later.last_without_text() == 6
        assert await keeps.later.without_text(1, 9) == [4, 6]
        await keeps.later.tell([(4, "four"), (6, "six")])
        assert await keeps.later.dropped(3) == [
            DroppedRow(5, "five", 4, "four", beside=False),
            DroppedRow(6, "six", 4, "four", beside=True),
        ]


async def test_a_new_user_is_paired_with_a_deactivated_user_of_the_same_name(company: Company) -> None:
    await company.run(people("ann"))
    async with importing(company) as keeps:
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"state": "deactivated"})])
        await keeps.users.create([user(2, "x", first_name="ANN", last_name="Smith")])
        await keeps.pairs.find_by_fields([], 2)
        (found,) = await keeps.pairs.page(0)
        assert (found.new_id, found.old, found.shared, found.now) == (2, "ann@example.com", "name", True)
        assert (await keeps.pairs.has(1), await keeps.pairs.has(2)) == (True, False)
        assert await keeps.pairs.page(2) == []


async def test_a_new_user_is_paired_with_the_user_who_lost_the_address(company: Company) -> None:
    header = ("first_name", "last_name", "email", "staff")
    await company.run(sheet(("Ann", "S", "ann@e.com", "1"), header=header), **BY_NUMBER)
    async with importing(company, identity=STAFF) as keeps:
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"state": "deactivated", "email": None, "email_key": None})])
        await keeps.users.create([user(2, "ann", external_id="2", email="ann@e.com", email_key="ann@e.com")])
        await keeps.pairs.find_by_address(2)
        assert [(each.new, each.old, each.value) for each in await keeps.pairs.page(0)] == [("2", "1", "ann@e.com")]


async def test_the_next_import_reads_the_record_of_the_previous_one(company: Company) -> None:
    async with importing(company) as keeps:
        assert (await keeps.applied.last(), await keeps.applied.header_notes()) == (None, frozenset())
        await keeps.applied.record(COMPLETED, NOW, 7, [("unknown_column", "Shoe")], compared=True)
    async with importing(company, 3) as keeps:
        assert await keeps.applied.last() == LastApplied(COMPLETED.counts.rows, 7)
        assert await keeps.applied.header_notes() == {("unknown_column", "Shoe")}
        await keeps.applied.record(COMPLETED, NOW, None, [], compared=False)
    async with importing(company, 4) as keeps:
        assert await keeps.applied.last() == LastApplied(COMPLETED.counts.rows, 7)


async def test_deactivations_and_invitations_are_read_from_the_changes(company: Company) -> None:
    await company.run(people("ann", role="admin"))
    async with importing(company) as keeps:
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"state": "deactivated"})])
        await keeps.users.create([user(2, "ben")])
        await keeps.users.note_created([2], [])
        assert await keeps.applied.deactivates_others([])
        assert not await keeps.applied.deactivates_others([1])
        assert await keeps.applied.former_admins() == ["ann@example.com"]
        assert await keeps.applied.invite() == 1


async def test_the_previous_file_is_known_until_what_its_rows_depend_on_changes(company: Company) -> None:
    kept = FileKept(2, 9, 8, "ab", b"salt", "2026-02-01")
    await company.run(people("ann"))
    async with importing(company) as keeps:
        await keeps.before.stop_recording_touched()
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"job_title": "Cook"})])
        await keeps.before.keep(kept, array("i", [0, 1]))
    assert await company.kept.set_protected("ann@example.com", True, BY_ADDRESS)
    async with importing(company, 3) as keeps:
        assert await keeps.before.file(b"salt", "2026-02-01") == kept
        assert await keeps.before.file(b"salt", "2026-01-31") is None
        assert await keeps.before.file(b"other", "2026-02-01") is None
        assert (list(await keeps.before.users()), await keeps.before.touched()) == ([0, 1], [1])
        await keeps.before.keep(None, array("i"))
    async with importing(company, 4) as keeps:
        assert await keeps.before.file(b"salt", "2026-02-01") is None
