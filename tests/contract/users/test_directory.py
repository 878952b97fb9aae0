"""The users of a tenant as people read them."""

from __future__ import annotations

from importer.rules.identity import Identity
from tests.support.importing import Company, people, sheet

LINKED = ("first_name", "last_name", "email", "manager", "coach")


async def test_the_reports_of_a_user_are_those_with_that_manager_or_coach(company: Company) -> None:
    await company.run(
        sheet(
            ("Ann", "Ash", "ann@example.com", "", ""),
            ("Ben", "Bay", "ben@example.com", "ann@example.com", ""),
            ("Cleo", "Cox", "cleo@example.com", "ann@example.com", "ben@example.com"),
            header=LINKED,
        )
    )
    await company.run(people("ben", deactivate="1"))
    ben = {"identifier": "ben@example.com", "name": "Ben Smith", "state": "deactivated"}
    cleo = {"identifier": "cleo@example.com", "name": "Cleo Cox", "state": "active"}
    async with company.kept.directory() as directory:
        assert await directory.reports("Ann@example.com") == {"manager_of": [ben, cleo], "coach_of": []}
        assert await directory.reports("ann@example.com", limit=1) == {"manager_of": [ben], "coach_of": []}
        assert await directory.reports("ben@example.com") == {"manager_of": [], "coach_of": [cleo]}
        assert await directory.reports("nobody@example.com") == {"manager_of": [], "coach_of": []}


async def test_reports_are_named_by_the_custom_identifier_if_there_is_one(company: Company) -> None:
    rows = [("Ann", "Ash", "ann@example.com", "", "e1"), ("Ben", "Bay", "ben@example.com", "e1", "e2")]
    header = ("first_name", "last_name", "email", "manager", "staff")
    await company.run(sheet(*rows, header=header), identifier="staff", custom_fields=({"key": "staff"},))
    async with company.kept.directory(Identity("staff")) as directory:
        found = await directory.reports("e1")
    assert [user["identifier"] for user in found["manager_of"]] == ["e2"]


async def test_a_protected_user_is_shown_as_protected_until_unprotected(company: Company) -> None:
    await company.run(people("ann"))
    for protected in (True, False):
        assert await company.kept.set_protected(" Ann@example.com", protected, Identity())
        assert (await company.users())["ann@example.com"]["protected"] is protected
    assert not await company.kept.set_protected("nobody@example.com", True, Identity())


async def test_a_snapshot_shows_no_user_of_an_import_that_ends_meanwhile(company: Company) -> None:
    await company.run(people("ann"))
    async with company.kept.snapshot() as snapshot:
        assert await snapshot.count_by_state() == {"active": 1, "deactivated": 0}
        await company.run(people("ann", "ben"))
        assert [len(page) async for page in snapshot.all_users()] == [1]
    assert await company.kept.count_by_state() == {"active": 2, "deactivated": 0}


async def test_users_come_in_pages_and_one_by_one_as_they_were_created(company: Company) -> None:
    await company.run(people("ann", "ben"))
    await company.run(people("cy"))
    await company.undo()
    async with company.kept.directory() as directory:
        first, after = await directory.page(limit=2)
        rest, end = await directory.page(limit=2, after=after or 0)
        known, _ = await directory.page(known=True)
        active, _ = await directory.page(state="active", limit=1)
        ann = await directory.get("Ann@example.com")
        assert await directory.get("nobody@example.com") is None
    assert [user["first_name"] for user in (*first, *rest)] == ["Ann", "Ben", "Cy"]
    assert end is None
    assert [user["first_name"] for user in known] == ["Ann", "Ben"]
    assert active == first[:1] == [ann]
