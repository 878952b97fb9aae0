"""Changed addresses with a custom identifier: swapped, passed on, taken over and refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from importer.file.sidebyside import Pieces
from importer.reconcile.ending.addresses import Addresses
from importer.reconcile.roster import Roster
from importer.rules.identity import Identity
from importer.users.columns import NEW_USER
from importer.users.importing.addresses import SetAside
from tests.support.importing import SMALL, Company, sheet
from tests.support.installation import company_in

STAFF = Identity("staff")
PEOPLE = {"1": "ann@e.com", "2": "ben@e.com", "3": "cleo@e.com", "4": "dora@e.com"}


async def move(
    folder: Path, wishes: Mapping[str, str], gone: tuple[str, ...] = ()
) -> tuple[dict[str, str | None], list[str], list[str]]:
    """Change the addresses of these employee numbers, in this order from line 2.

    Return all addresses afterwards, the rejected rows, and the codes of the notices.
    """
    company = company_in(folder)
    await _populate(company, gone)
    async with company.kept.importing(2, STAFF, lambda work: work()) as keeps:
        roster = Roster(keeps.users, STAFF)
        await roster.open(0)
        addresses = Addresses(keeps.addresses, roster)
        known = await roster.find(wishes)
        users = await roster.load(known[number] for number in wishes if number in known)
        for line, (number, email) in enumerate(wishes.items(), 2):
            user = users[known[number]] if number in known else None
            user_id = known[number] if user else roster.new_ids([line])[0]
            roster.named.mark(user_id, line)
            columns = {"external_id": number, "email": email, "email_key": email, "state": "active"}
            columns |= {"first_name": number, "last_name": "S"}
            old = (user["email"], user["email_key"]) if user else (None, None)
            await addresses.add(
                [SetAside(user_id, line, number, columns, "active", False, {}, *old, created=user is None)]
            )
        notices = [problem.code for problem in await addresses.settle()]
        rejected = [row.raw async for rows in addresses.rejected() for row in rows]
        async for rows in addresses.applicable():
            for aside, user in rows:
                if user is None:
                    await roster.create([(aside.user_id, *(NEW_USER | aside.columns).values())])
                else:
                    assert user["email"] == PEOPLE[user["external_id"]], "as before the import took it away"
                    email = aside.columns["email"]
                    await roster.update([(user, {"email": email, "email_key": email})])
    rows = await company.sql("SELECT external_id, email FROM users ORDER BY external_id")
    return dict(rows), rejected, notices


async def _populate(company: Company, gone: tuple[str, ...]) -> None:
    async with company.kept.importing(1, STAFF, lambda work: work()) as keeps:
        users = []
        for user_id, (number, email) in enumerate(PEOPLE.items(), 1):
            columns = {"external_id": number, "email": email, "email_key": email, "first_name": number}
            columns |= {"last_name": "S", "state": "deactivated" if number in gone else "active"}
            users.append((user_id, *(NEW_USER | columns).values()))
        await keeps.users.create(users)


async def test_two_users_swap_their_addresses_in_one_file(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"1": "ben@e.com", "2": "ann@e.com"})
    assert (after["1"], after["2"], rejected) == ("ben@e.com", "ann@e.com", [])


async def test_addresses_pass_along_a_chain_and_around_a_ring_of_three(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"1": "ben@e.com", "2": "cleo@e.com", "3": "fresh@e.com"})
    assert (list(after.values()), rejected) == (["ben@e.com", "cleo@e.com", "fresh@e.com", "dora@e.com"], [])


async def test_addresses_pass_around_a_ring_of_three(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"1": "ben@e.com", "2": "cleo@e.com", "3": "ann@e.com"})
    assert (list(after.values())[:3], rejected) == (["ben@e.com", "cleo@e.com", "ann@e.com"], [])


async def test_a_row_with_an_address_that_another_user_keeps_is_rejected(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"1": "dora@e.com", "2": "new@e.com"})
    assert (after["1"], after["2"], rejected) == ("ann@e.com", "new@e.com", ["1"])


async def test_the_later_of_two_rows_with_one_new_address_is_rejected(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"2": "new@e.com", "1": "new@e.com"})
    assert (after["1"], after["2"], rejected) == ("ann@e.com", "new@e.com", ["1"])


async def test_a_rejected_row_keeps_its_address_and_rejects_the_row_that_wants_it(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"3": "ben@e.com", "2": "ann@e.com", "1": "dora@e.com"})
    assert (after, rejected) == (PEOPLE, ["3", "2", "1"])


async def test_a_deactivated_holder_loses_the_address_with_a_notice(tmp_path: Path) -> None:
    after, rejected, notices = await move(tmp_path, {"1": "dora@e.com"}, gone=("4",))
    assert (after["1"], after["4"]) == ("dora@e.com", None)
    assert (rejected, notices) == ([], ["address_taken_over"])


async def test_a_new_user_gets_an_address_that_is_given_up_in_the_same_file(tmp_path: Path) -> None:
    after, rejected, _ = await move(tmp_path, {"9": "ann@e.com", "1": "other@e.com"})
    assert (after["9"], after["1"], rejected) == ("ann@e.com", "other@e.com", [])


NUMBERED = {"identifier": "employee_id", "custom_fields": ({"key": "employee_id"},)}
NUMBERED_HEADER = ("employee_id", "first_name", "last_name", "email", "End Date")


@pytest.mark.parametrize("batch_rows", [1, 2, 2000])
@pytest.mark.parametrize("address", [" new@example.com", "new@example.com ", "new@example.com\N{NO-BREAK SPACE}"])
async def test_an_address_with_a_space_goes_to_the_first_row_with_it(
    tmp_path: Path, address: str, batch_rows: int
) -> None:
    company = company_in(tmp_path, batch_rows)
    before = [(str(number), "A", "S", f"a{number}@example.com", "") for number in range(1, 3)]
    await company.run(sheet(*before, header=NUMBERED_HEADER), **NUMBERED)
    asks, takes = ("1", "A", "S", address, "2020-01-31"), ("900", "New", "One", "new@example.com", "")
    outcome = await company.run(sheet(asks, before[1], takes, header=NUMBERED_HEADER), **NUMBERED)
    assert ("email_taken", 4) in [(said.code, said.line) for said in outcome.messages]
    assert (await company.users()).keys() == {"new@example.com", "a2@example.com"}


@pytest.mark.parametrize("pieces", [SMALL, None], ids=["beside the file before", "alone"])
async def test_a_changed_address_with_a_space_is_not_given_to_a_new_user_below(
    tmp_path: Path, pieces: Pieces | None
) -> None:
    company = company_in(tmp_path, pieces=pieces)
    rows = [(str(number), "A", "S", f"a{number}@example.com", "") for number in range(1, 200)]
    await company.run(sheet(*rows, header=NUMBERED_HEADER), **NUMBERED)
    rows[119:120] = [
        ("120", "A", "S", " new@example.com", ""),
        ("900", "New", "One", "new@example.com", ""),
    ]
    outcome = await company.run(sheet(*rows, header=NUMBERED_HEADER), **NUMBERED)
    assert (outcome.counts.updated, outcome.counts.rejected, outcome.counts.created) == (1, 1, 0)
