"""Users told apart by an employee number: their addresses may change, and nobody is taken for somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importer.errors import TryAgain
from importer.model import ImportState, Outcome
from importer.run import Job, run_import
from importer.settings import ImportSettings
from importer.undo import UndoJob, undo_import
from tests.support.importing import Company, codes, sheet

FIELD: Any = ({"key": "employee_id"},)
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", "custom_fields": FIELD}
HEADER = ("employee_id", "first_name", "last_name", "email")
TRUSTING = {"max_deactivations_percent": 100, "detect_truncation": False}


def staff(**addresses: str) -> bytes:
    """People by employee number (`e1`), each with an address: `e1="ann"`."""
    return sheet(
        *[(number, number.title(), "S", f"{name}@e.com") for number, name in addresses.items()], header=HEADER
    )


def staff_with(column: str, **people: tuple[str, str]) -> bytes:
    """The same with one column more: `e1=("ann", "e2")`."""
    rows = [(number, number.title(), "S", f"{name}@e.com", value) for number, (name, value) in people.items()]
    return sheet(*rows, header=(*HEADER, column))


@pytest.fixture(params=[1, 2, 2000])
async def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    company = Company(tmp_path, request.param)
    await run(company, staff(e1="ann", e2="ben", e3="cleo"))
    return company


async def run(company: Company, content: bytes, **settings: Any) -> Outcome:
    return await company.run(content, **BY_NUMBER, **TRUSTING, **settings)


async def addresses(company: Company) -> dict[str, str | None]:
    rows = await company.sql("SELECT external_id, email FROM users ORDER BY external_id")
    return {row[0]: row[1] and row[1].removesuffix("@e.com") for row in rows}


async def states(company: Company) -> dict[str, str]:
    return dict(await company.sql("SELECT external_id, state FROM users ORDER BY external_id"))  # type: ignore[arg-type]


async def test_an_address_changes_and_its_owner_stays_the_same(company: Company) -> None:
    outcome = await run(company, staff(e1="new", e2="ben", e3="cleo"))
    assert (outcome.counts.updated, outcome.counts.unchanged, outcome.counts.created) == (1, 2, 0)
    assert await addresses(company) == {"e1": "new", "e2": "ben", "e3": "cleo"}
    assert (await run(company, staff(e1="new", e2="ben", e3="cleo"))).state is ImportState.UNCHANGED


async def test_numbers_are_compared_exactly(company: Company) -> None:
    outcome = await run(company, staff(E1="dora"))
    assert outcome.counts.created == 1


async def test_two_swap_and_three_turn(company: Company) -> None:
    await run(company, staff(e1="ben", e2="ann"))
    assert await addresses(company) == {"e1": "ben", "e2": "ann", "e3": "cleo"}
    outcome = await run(company, staff(e1="ann", e2="cleo", e3="ben"))
    assert await addresses(company) == {"e1": "ann", "e2": "cleo", "e3": "ben"}
    assert (outcome.counts.updated, codes(outcome)) == (3, [])


async def test_a_new_colleague_takes_over_an_address_that_moves_on(company: Company) -> None:
    outcome = await run(company, staff(e9="ann", e1="other", e8="dora"))
    assert (outcome.counts.created, outcome.counts.updated) == (2, 1)
    assert await addresses(company) == {"e1": "other", "e2": "ben", "e3": "cleo", "e8": "dora", "e9": "ann"}


async def test_a_new_colleague_whose_address_is_taken_is_rejected_and_named_by_nobody(company: Company) -> None:
    outcome = await run(company, staff_with("manager", e9=("ann", ""), e2=("ben", "e9"), e8=("dora", "e9")))
    assert (outcome.counts.rejected, outcome.counts.created) == (1, 1)
    assert sorted(codes(outcome)) == ["email_taken", "unknown_link", "unknown_link"]
    assert await company.sql("SELECT count(*) FROM users WHERE manager_id IS NOT NULL") == [(0,)]
    assert b"e9" in company.errors_csv()


async def test_somebody_new_on_two_rows_is_created_once(company: Company) -> None:
    twice = sheet(
        ("e9", "A", "S", "ann@e.com"), ("e9", "B", "S", "x@e.com"), ("e1", "A", "S", "y@e.com"), header=HEADER
    )
    outcome = await run(company, twice)
    assert (outcome.counts.created, codes(outcome)) == (1, ["duplicate_identifier"])
    assert (await addresses(company))["e9"] == "ann"


async def test_if_every_row_is_rejected_for_its_address_the_import_fails(company: Company) -> None:
    outcome = await run(company, staff(e9="ann", e8="ben"))
    assert (outcome.state, outcome.counts.rejected) == (ImportState.FAILED, 2)
    assert await addresses(company) == {"e1": "ann", "e2": "ben", "e3": "cleo"}


async def test_a_leaver_leaves_though_the_new_address_is_somebody_else_s(company: Company) -> None:
    outcome = await run(company, staff_with("deactivate", e1=("ben", "1"), e2=("ben", "")))
    assert (await states(company))["e1"] == "deactivated"
    assert await addresses(company) == {"e1": "ann", "e2": "ben", "e3": "cleo"}
    assert (codes(outcome), outcome.counts.deactivated, outcome.counts.rejected) == (["email_taken"], 1, 0)


async def test_two_leavers_may_name_one_address(company: Company) -> None:
    outcome = await run(company, staff_with("deactivate", e1=("new", "1"), e2=("new", "1"), e3=("new", "")))
    assert await addresses(company) == {"e1": "ann", "e2": "ben", "e3": "new"}
    assert (outcome.counts.deactivated, codes(outcome)) == (2, ["email_taken", "email_taken"])


async def test_a_leaver_who_can_not_have_the_new_address_gives_up_the_old_one(company: Company) -> None:
    await run(company, staff_with("deactivate", e1=("ben", "1"), e3=("ann", "")))
    assert await addresses(company) == {"e1": None, "e2": "ben", "e3": "ann"}
    assert await states(company) == {"e1": "deactivated", "e2": "active", "e3": "active"}


async def test_an_absent_user_loses_the_address_to_whoever_needs_it(company: Company) -> None:
    outcome = await run(company, staff(e2="ben", e3="ann"), deactivate_missing=True)
    assert await addresses(company) == {"e1": None, "e2": "ben", "e3": "ann"}
    assert codes(outcome) == ["address_taken_over"]
    back = await run(company, staff(e1="ann", e2="ben", e3="cleo"))
    assert (back.counts.reactivated, await addresses(company)) == (1, {"e1": "ann", "e2": "ben", "e3": "cleo"})


async def test_managers_are_named_by_number_else_by_address(company: Company) -> None:
    await run(company, staff_with("manager", e1=("ann", "e9"), e2=("ben", "CLEO@e.com"), e9=("zoe", "e1")))
    users = {row[0]: row[1] for row in await company.sql("SELECT external_id, id FROM users")}
    managers = dict(await company.sql("SELECT external_id, manager_id FROM users"))  # type: ignore[arg-type]
    assert managers == {"e1": users["e9"], "e2": users["e3"], "e3": None, "e9": users["e1"]}


async def test_somebody_without_an_address_is_named_by_number(company: Company) -> None:
    await run(company, staff_with("manager", e1=("ann", "e2"), e2=("ben", ""), e3=("cleo", "")))
    outcome = await run(company, staff_with("deactivate", e2=("ben", "1"), e3=("ben", "")))
    (problem,) = [problem for problem in outcome.messages if problem.code == "deactivated_link"]
    assert (problem.value, "None" in problem.message) == ("e2", False)


async def test_the_list_of_a_held_import_names_people_by_number(company: Company) -> None:
    await company.run(staff(e1="ann"), deactivate_missing=True, **BY_NUMBER)
    assert {entry["identifier"] for entry in company.touched()} == {"e2", "e3"}


async def test_swaps_and_takeovers_are_undone(company: Company) -> None:
    before = await addresses(company)
    await run(company, staff(e1="ben", e2="ann", e9="cleo"), deactivate_missing=True)
    assert await addresses(company) == {"e1": "ben", "e2": "ann", "e3": None, "e9": "cleo"}
    undone = await company.undo(**BY_NUMBER)
    assert await addresses(company) == {**before, "e9": None}
    assert (await states(company), codes(undone)[1:]) == (
        {"e1": "active", "e2": "active", "e3": "active", "e9": "deactivated"},
        [],
    )
    again = await run(company, staff(e1="ann", e2="ben", e3="cleo", e9="dora"))
    assert (again.counts.created, (await addresses(company))["e9"]) == (1, "dora")


async def test_an_address_that_was_spelt_otherwise_and_then_taken_over_is_given_back(company: Company) -> None:
    before = await company.users()
    leaving = sheet(
        ("e1", "E1", "S", "ANN@e.com", "1"), ("e2", "E2", "S", "ann@e.com", ""), header=(*HEADER, "deactivate")
    )
    taken = await company.run(leaving, **BY_NUMBER)
    assert "address_taken_over" in codes(taken)
    undone = await company.undo(**BY_NUMBER)
    assert "changed_since" not in codes(undone)
    assert await company.users() == before


async def test_an_address_that_somebody_has_now_is_not_given_back(company: Company) -> None:
    await run(company, staff(e1="ben", e2="ann"))
    await company.sql("UPDATE users SET email = 'x@e.com', email_key = 'x@e.com' WHERE external_id = 'e1'")
    await company.sql("UPDATE users SET email = 'ben@e.com', email_key = 'ben@e.com' WHERE external_id = 'e3'")
    undone = await company.undo(**BY_NUMBER)
    assert await addresses(company) == {"e1": "x", "e2": "ann", "e3": "ben"}
    assert codes(undone) == ["changed_since", "changed_since"]


async def test_an_import_that_began_before_the_identifier_was_changed_has_to_wait(company: Company) -> None:
    job = Job("acme", 9, company.folder / "1.csv", "sync_users.csv", False, None, None, datetime.now(UTC))
    with pytest.raises(TryAgain):
        await run_import(job, company.database, ImportSettings(custom_fields=FIELD), company.messages)
    assert await company.sql("SELECT count(*) FROM users") == [(3,)]
    undo = UndoJob("acme", 1, "operator", None, datetime.now(UTC))
    with pytest.raises(TryAgain):
        await undo_import(undo, company.database, company.messages)
    assert (await company.undo(**BY_NUMBER)).counts.created == 3
