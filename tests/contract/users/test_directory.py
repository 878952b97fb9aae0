"""The users of a tenant as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from importer.rules.identity import Identity
from importer.users import search as search_module
from importer.users.directory import Sort, Wanted
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
        active, _ = await directory.page(Wanted(state="active"), limit=1)
        ann = await directory.get("Ann@example.com")
        assert await directory.get("nobody@example.com") is None
    assert [user["first_name"] for user in (*first, *rest)] == ["Ann", "Ben", "Cy"]
    assert end is None
    assert [user["first_name"] for user in known] == ["Ann", "Ben"]
    assert active == first[:1] == [ann]


STAFF = (
    ("Åsa", "Zorn", "asa@example.com", "Sales", "", "Oslo"),
    ("bo", "åberg", "bo@example.com", "sales", "", ""),
    ("Cy", "Berg", "cy@example.com", "Ops", "Choir,Sales", "Bergen"),
    ("Di", "Ahl", "Ab@example.com", "", "", "oslo"),
)
STAFF_HEADER = ("first_name", "last_name", "email", "primary_team", "secondary_team", "location", "staff")
BY_STAFF: dict[str, Any] = {"identifier": "staff", "custom_fields": ({"key": "staff"},)}


@pytest.fixture(params=[False, True], ids=["few", "many"])
async def staff(request: pytest.FixtureRequest, company: Company, monkeypatch: pytest.MonkeyPatch) -> Company:
    """Yield a company with these users; they are indexed if they are many enough."""
    if request.param:
        monkeypatch.setattr(search_module, "FEW", -1)
    rows = [(*user, f"e{number}") for number, user in enumerate(STAFF)]
    await company.run(sheet(*rows, header=STAFF_HEADER), **BY_STAFF)
    assert await company.kept.set_protected("e2", True, Identity("staff"))
    company.kept.catch_up_index()
    return company


WANTED = [
    (Wanted(), "Åsa bo Cy Di"),
    (Wanted(team="SALES"), "Åsa bo Cy"),
    (Wanted(team=" Choir "), "Cy"),
    (Wanted(team="Nothing"), ""),
    (Wanted(location="Oslo"), "Åsa Di"),
    (Wanted(protected=True), "Cy"),
    (Wanted(protected=False), "Åsa bo Di"),
    (Wanted("b", team="Sales"), "bo Cy"),
    (Wanted("b", "active", "Sales", "Bergen", protected=True), "Cy"),
    (Wanted(state="deactivated", team="Sales"), ""),
    (Wanted("--", team="Sales"), ""),
]


async def test_filters_find_the_same_users_on_every_page_and_in_a_download(staff: Company) -> None:
    for wanted, names in WANTED:
        async with staff.kept.directory(Identity("staff")) as directory:
            page, _ = await directory.page(wanted)
            counted = await directory.sorted_page(wanted, Sort.CREATED, skip=0, limit=9, most=9)
            batches = [user async for batch in directory.all_users(1, wanted=wanted) for user in batch]
        assert counted == (page, len(page)), wanted
        assert page == batches, wanted
        assert " ".join(user["first_name"] for user in page) == names, wanted


SORTED = {
    Sort.CREATED: "Åsa bo Cy Di",
    Sort.NEWEST: "Di Cy bo Åsa",
    Sort.LAST_NAME: "bo Di Cy Åsa",
    Sort.FIRST_NAME: "Åsa bo Cy Di",
    Sort.EMAIL: "Di Åsa bo Cy",
    Sort.TEAM: "Cy bo Åsa Di",
}


async def test_users_are_sorted_without_case_and_accents_and_blanks_come_last(staff: Company) -> None:
    for sort, names in SORTED.items():
        async with staff.kept.directory(Identity("staff")) as directory:
            pages = [await directory.sorted_page(Wanted(), sort, skip=skip, limit=3, most=4) for skip in (0, 3, 6)]
        assert all(page and page[1] == 4 for page in pages), sort
        assert [len(page[0]) for page in pages if page] == [3, 1, 0], sort
        assert " ".join(user["first_name"] for page in pages if page for user in page[0]) == names, sort


async def test_more_users_than_the_limit_are_not_sorted(staff: Company) -> None:
    async with staff.kept.directory(Identity("staff")) as directory:
        assert await directory.sorted_page(Wanted(), Sort.EMAIL, skip=0, limit=1, most=3) is None
        assert await directory.sorted_page(Wanted(team="Sales"), Sort.EMAIL, skip=0, limit=1, most=3) is not None


async def test_the_names_of_teams_and_locations_come_in_order(staff: Company) -> None:
    async with staff.kept.directory(Identity("staff")) as directory:
        assert await directory.names(9) == (["Choir", "Ops", "Sales"], ["Bergen", "Oslo"])
        assert await directory.names(1) == (["Choir"], ["Bergen"])


async def test_a_text_with_a_nul_character_names_no_user(company: Company) -> None:
    await company.run(people("ann", primary_team="Sales", location="Here"))
    nul = "ann@example.com\0"
    async with company.kept.directory() as directory:
        assert await directory.get(nul) is None
        assert await directory.reports(nul) == {"manager_of": [], "coach_of": []}
        for wanted in (Wanted(team="Sales\0"), Wanted(location="\0"), Wanted(state="\0")):
            assert await directory.page(wanted) == ([], None)
            assert await directory.sorted_page(wanted, Sort.EMAIL, skip=0, limit=9, most=9) == ([], 0)
    async with company.kept.history(Identity()) as history:
        assert await history.newest_of_user(nul, 9) == ([], None)
    assert not await company.kept.set_protected(nul, True, Identity())
