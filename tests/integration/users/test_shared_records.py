"""Users created in a row share a record of the history. Every read of it is as if each had a record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.history import Changes
from importer.users.runs import LONGEST
from tests.support.importing import Company, people, sheet
from tests.support.installation import company_in

HEADER = ("employee_id", "first_name", "last_name", "email")
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", "custom_fields": ({"key": "employee_id"},)}
COMPLETE: dict[str, Any] = {
    **BY_NUMBER,
    "deactivate_missing": True,
    "max_deactivations_percent": 100,
    "detect_truncation": False,
}
IDENTITY = identity_of(ImportSettings(**BY_NUMBER))
MANY = LONGEST + 50
LOOKED_AT = ("n1", "n3", "n499", "n500", "n501", f"n{LONGEST}", f"n{MANY}", "new1", "new2", "new3", "new4")


def staff(*numbers: str, **addresses: str) -> bytes:
    rows = [(number, number, "Smith", f"{addresses.get(number, number)}@example.com") for number in numbers]
    return sheet(*rows, header=HEADER)


async def records(company: Company, import_id: int) -> list[int]:
    """Return how many users each record of creations by this import covers."""
    rows = await company.sql(
        "SELECT more + 1 FROM changes WHERE import_id = ? AND field = 'created' AND undo = false ORDER BY id",
        (import_id,),
    )
    return [row[0] for row in rows]


async def with_a_record_each(company: Company, folder: Path) -> Company:
    """Return a copy of `company` with one record of the history for each user, as older versions wrote it."""
    copy = await company.copied(folder)
    await copy.sql(
        "WITH RECURSIVE one (id, import_id, user_id, undo, more) AS ("
        " SELECT id, import_id, user_id, undo, more FROM changes WHERE more > 0"
        " UNION ALL SELECT id - 1, import_id, user_id - 1, undo, more - 1 FROM one WHERE more > 0)"
        " INSERT INTO changes (id, import_id, user_id, field, undo) SELECT id, import_id, user_id, 'created', undo"
        " FROM one WHERE id NOT IN (SELECT id FROM changes)"
    )
    await copy.sql("UPDATE changes SET more = 0 WHERE more > 0")
    return copy


Page = tuple[Changes, int | None]


async def pages(page: Callable[[int | None], Awaitable[Page]]) -> list[Page]:
    found = [await page(None)]
    while found[-1][1] is not None:
        found.append(await page(found[-1][1]))
    return found


async def all_that_is_read(company: Company) -> dict[str, list[Page]]:
    """Return every page of every history, with the number at which the next begins."""
    found = {}
    async with company.kept.history(IDENTITY) as history:
        for limit in (1, 2, 100):
            for who in LOOKED_AT:
                name = f"{who} by {limit}"
                found[name] = await pages(lambda after: history.page_of_user(who, after or 0, limit))  # noqa: B023
                found[f"newest of {name}"] = await pages(lambda old: history.newest_of_user(who, limit, old))  # noqa: B023
        for limit in (99, LONGEST, 2 * LONGEST):
            for import_id in range(1, company.imports + 1):
                name = f"import {import_id} by {limit}"
                found[name] = await pages(lambda after: history.page_of_import(import_id, after or 0, limit))  # noqa: B023
    return found


@pytest.fixture(params=[400, 2000])
async def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    """Yield a company with gaps between created users.

    Some creations were undone and made again, and some users were removed by hand in between.
    """
    company = company_in(tmp_path / "company", request.param)
    everyone = [f"n{number}" for number in range(1, MANY + 1)]
    # Two rows want one address: n500 is rejected, and n499 is created last.
    created = await company.run(staff(*everyone, n500="n499"), **BY_NUMBER)
    assert (created.counts.created, created.counts.rejected) == (MANY - 1, 1)
    await company.sql("DELETE FROM users WHERE external_id IN ('n3', 'n77')")
    await company.run(staff("n1", "new1", "new2", "new3", n1="other"), **BY_NUMBER)
    await company.sql("DELETE FROM users WHERE external_id = 'new2'")
    await company.undo(**BY_NUMBER)
    await company.run(staff("new1", "new2", "new3", "new4"), **BY_NUMBER)
    await company.undo(**BY_NUMBER)
    again = await company.run(staff("n1", "new4", "new3", "n500"), **COMPLETE)
    assert (again.counts.created, again.counts.deactivated) == (3, MANY - 1 - 3)
    return company


async def test_users_created_in_a_row_share_a_record(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people(*(f"p{number}" for number in range(2 * LONGEST + 1))))
    assert await records(company, 1) == [LONGEST, LONGEST, 1]
    await company.undo()
    undone = await company.sql("SELECT sum(more + 1), count(*) FROM changes WHERE undo = true")
    assert undone == [(2 * LONGEST + 1, 3)]


async def test_histories_are_read_as_if_each_user_had_a_record(company: Company, tmp_path: Path) -> None:
    apart = await with_a_record_each(company, tmp_path / "apart")
    assert sum(await records(company, 1)) == len(await records(apart, 1)) == MANY - 1
    assert len(await records(company, 1)) < 10
    assert await all_that_is_read(company) == await all_that_is_read(apart)


async def test_a_user_removed_from_a_run_stays_in_the_history_of_the_import(company: Company) -> None:
    async with company.kept.history(IDENTITY) as history:
        changes = [change async for page in history.of_import(1) for change in page]
    assert len(changes) == MANY - 1
    nameless = [number for number, change in enumerate(changes) if change["identifier"] is None]
    assert [(changes[one]["field"], changes[one]["name"]) for one in nameless] == [("created", None)] * 2
    assert [changes[one - 1]["identifier"] for one in nameless] == ["n2", "n76"]


async def test_an_undo_deactivates_the_same_users_as_if_each_had_a_record(company: Company, tmp_path: Path) -> None:
    apart = await with_a_record_each(company, tmp_path / "apart")
    for import_id in (4, 1):
        outcomes = [await each.undo(import_id, **BY_NUMBER) for each in (company, apart)]
        assert outcomes[0] == outcomes[1]
        assert await company.users() == await apart.users()
    assert not [user for user in (await company.users()).values() if user["state"] == "active"]
    assert await all_that_is_read(company) == await all_that_is_read(apart)
    once_more = [await each.run(staff("n1", "n2", "new4", "new5"), **BY_NUMBER) for each in (company, apart)]
    assert once_more[0].counts == once_more[1].counts
    assert once_more[0].counts.created == 4
    assert await company.users() == await apart.users()


async def test_a_held_import_lists_and_an_applied_one_invites_every_user_of_a_run(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", "cy"))
    content = people("dee", "eve", "fay", "ann", "guy")
    held = await company.run(content, deactivate_missing=True, max_deactivations_percent=10)
    assert held.guard is not None
    touched = [(each["action"], each["identifier"].split("@")[0], each["user_id"]) for each in company.touched()]
    assert touched == [
        ("deactivated", "ben", 2),
        ("deactivated", "cy", 3),
        *(("created", name, None) for name in ("dee", "eve", "fay", "guy")),
    ]
    outcome = await company.run(content, invitations="immediately")
    assert outcome.counts.invitations == 4
    assert await records(company, 3) == [4]


async def test_an_id_in_a_run_is_never_reused(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", "ben", "cy"))
    await company.sql("DELETE FROM users")
    await company.run(people("dee"))
    assert await company.sql("SELECT id, first_name FROM users") == [(4, "Dee")]
