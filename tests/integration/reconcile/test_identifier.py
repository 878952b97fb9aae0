"""The employee number as identifier: addresses may change, and no user is mistaken for another."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importer.errors import TryAgain
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.rules.identity import BY_ADDRESS
from importer.rules.settings import ImportSettings
from importer.undo.undo import UndoJob, undo_import
from server.tenants.settings import change_settings
from tests.support.importing import Company, codes, sheet
from tests.support.installation import company_in

FIELD: Any = ({"key": "employee_id"},)
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", "custom_fields": FIELD}
HEADER = ("employee_id", "first_name", "last_name", "email")
TRUSTING = {"max_deactivations_percent": 100, "detect_truncation": False}


def staff(**addresses: str) -> bytes:
    """Return rows by employee number (`e1`), each with an address: `e1="ann"`."""
    return sheet(
        *[(number, number.title(), "S", f"{name}@e.com") for number, name in addresses.items()], header=HEADER
    )


def staff_with(column: str, **people: tuple[str, str]) -> bytes:
    """Return the same with one more column: `e1=("ann", "e2")`."""
    rows = [(number, number.title(), "S", f"{name}@e.com", value) for number, (name, value) in people.items()]
    return sheet(*rows, header=(*HEADER, column))


@pytest.fixture(params=[1, 2, 2000])
async def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    company = company_in(tmp_path, request.param)
    await run(company, staff(e1="ann", e2="ben", e3="cleo"))
    return company


async def run(company: Company, content: bytes, **settings: Any) -> Outcome:
    return await company.run(content, **BY_NUMBER, **TRUSTING, **settings)


async def addresses(company: Company) -> dict[str, str | None]:
    rows = await company.sql("SELECT external_id, email FROM users ORDER BY external_id")
    return {row[0]: row[1] and row[1].removesuffix("@e.com") for row in rows}


async def manager_of(company: Company, number: str) -> Any:
    rows = await company.sql(
        "SELECT m.external_id FROM users AS u LEFT JOIN users AS m ON m.id = u.manager_id WHERE u.external_id = ?",
        (number,),
    )
    return rows[0][0]


async def states(company: Company) -> dict[str, str]:
    return dict(await company.sql("SELECT external_id, state FROM users ORDER BY external_id"))  # type: ignore[arg-type]


async def test_an_address_changes_and_the_user_stays_the_same(company: Company) -> None:
    outcome = await run(company, staff(e1="new", e2="ben", e3="cleo"))
    assert (outcome.counts.updated, outcome.counts.unchanged, outcome.counts.created) == (1, 2, 0)
    assert await addresses(company) == {"e1": "new", "e2": "ben", "e3": "cleo"}
    assert (await run(company, staff(e1="new", e2="ben", e3="cleo"))).state is ImportState.UNCHANGED


async def test_numbers_are_compared_exactly(company: Company) -> None:
    outcome = await run(company, staff(E1="dora"))
    assert outcome.counts.created == 1


async def test_users_swap_addresses_in_one_file(company: Company) -> None:
    await run(company, staff(e1="ben", e2="ann"))
    assert await addresses(company) == {"e1": "ben", "e2": "ann", "e3": "cleo"}
    outcome = await run(company, staff(e1="ann", e2="cleo", e3="ben"))
    assert await addresses(company) == {"e1": "ann", "e2": "cleo", "e3": "ben"}
    assert (outcome.counts.updated, codes(outcome)) == (3, [])


async def test_a_new_user_gets_an_address_that_its_user_gives_up_in_the_same_file(company: Company) -> None:
    outcome = await run(company, staff(e9="ann", e1="other", e8="dora"))
    assert (outcome.counts.created, outcome.counts.updated) == (2, 1)
    assert await addresses(company) == {"e1": "other", "e2": "ben", "e3": "cleo", "e8": "dora", "e9": "ann"}


async def test_a_new_user_with_a_taken_address_is_rejected_and_not_linked(company: Company) -> None:
    outcome = await run(company, staff_with("manager", e9=("ann", ""), e2=("ben", "e9"), e8=("dora", "e9")))
    assert (outcome.counts.rejected, outcome.counts.created) == (1, 1)
    assert sorted(codes(outcome)) == ["email_taken", "unknown_link", "unknown_link"]
    assert await company.sql("SELECT count(*) FROM users WHERE manager_id IS NOT NULL") == [(0,)]
    assert b"e9" in company.errors_csv()


async def test_a_new_user_on_two_rows_is_created_once(company: Company) -> None:
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


async def test_a_leaver_is_deactivated_though_another_user_has_the_new_address(company: Company) -> None:
    content = staff_with("deactivate", e1=("ben", "1"), e2=("ben", ""))
    outcome = await run(company, content)
    assert (await states(company))["e1"] == "deactivated"
    assert await addresses(company) == {"e1": "ann", "e2": "ben", "e3": "cleo"}
    assert (codes(outcome), outcome.counts.deactivated, outcome.counts.rejected) == (["email_taken"], 1, 0)
    again = await run(company, content)
    assert (again.state, codes(again)) == (ImportState.UNCHANGED, ["email_taken"])


async def test_two_leavers_may_name_one_address(company: Company) -> None:
    outcome = await run(company, staff_with("deactivate", e1=("new", "1"), e2=("new", "1"), e3=("new", "")))
    assert await addresses(company) == {"e1": "ann", "e2": "ben", "e3": "new"}
    assert (outcome.counts.deactivated, codes(outcome)) == (2, ["email_taken", "email_taken"])


async def test_a_leaver_who_cannot_have_the_new_address_gives_up_the_old_one(company: Company) -> None:
    await run(company, staff_with("deactivate", e1=("ben", "1"), e3=("ann", "")))
    assert await addresses(company) == {"e1": None, "e2": "ben", "e3": "ann"}
    assert await states(company) == {"e1": "deactivated", "e2": "active", "e3": "active"}


async def test_an_absent_user_loses_the_address_to_a_user_in_the_file(company: Company) -> None:
    outcome = await run(company, staff(e2="ben", e3="ann"), deactivate_missing=True)
    assert await addresses(company) == {"e1": None, "e2": "ben", "e3": "ann"}
    assert codes(outcome) == ["address_taken_over"]
    back = await run(company, staff(e1="ann", e2="ben", e3="cleo"))
    assert (back.counts.reactivated, await addresses(company)) == (1, {"e1": "ann", "e2": "ben", "e3": "cleo"})


@pytest.mark.parametrize(
    ("rows", "after", "leaving"),
    [
        ({"e1": ("ben", "1"), "e2": ("ann", "")}, ("ben", "ann", "cleo"), {"e1"}),
        ({"e1": ("ben", ""), "e2": ("ann", "1")}, ("ben", "ann", "cleo"), {"e2"}),
        ({"e1": ("ben", "1"), "e2": ("ann", "1")}, ("ben", "ann", "cleo"), {"e1", "e2"}),
        ({"e1": ("ben", ""), "e2": ("cleo", "1"), "e3": ("ann", "")}, ("ben", "cleo", "ann"), {"e2"}),
        ({"e1": ("ben", ""), "e2": ("ben", "1")}, ("ben", None, "cleo"), {"e2"}),
        ({"e3": ("ben", ""), "e2": ("new", "1"), "e1": ("cleo", "")}, ("cleo", "new", "ben"), {"e2"}),
        ({"e1": ("new", "1"), "e3": ("new", ""), "e2": ("ann", "")}, (None, "ann", "new"), {"e1"}),
    ],
    ids=["first", "second", "both", "ring", "given_up", "chain", "gives_way"],
)
async def test_leavers_take_part_in_a_swap_of_addresses_and_it_is_undone(
    company: Company, rows: dict[str, tuple[str, str]], after: tuple[str | None, ...], leaving: set[str]
) -> None:
    before = await company.users()
    outcome = await run(company, staff_with("deactivate", **rows))
    assert tuple((await addresses(company)).values()) == after
    assert {number for number, state in (await states(company)).items() if state == "deactivated"} == leaving
    assert (outcome.counts.deactivated, outcome.counts.rejected) == (len(leaving), 0)
    undone = await company.undo(**BY_NUMBER)
    assert await company.users() == before
    assert "changed_since" not in codes(undone)


async def test_a_returning_user_swaps_addresses(company: Company) -> None:
    await run(company, staff_with("deactivate", e1=("ann", "1")))
    outcome = await run(company, staff(e1="ben", e2="ann"))
    assert await addresses(company) == {"e1": "ben", "e2": "ann", "e3": "cleo"}
    assert (outcome.counts.reactivated, outcome.counts.updated, codes(outcome)) == (1, 1, [])
    assert (await states(company))["e1"] == "active"


async def test_a_rejected_user_who_stays_deactivated_loses_the_address_to_an_active_one(company: Company) -> None:
    await run(company, staff_with("deactivate", e1=("ann", "1")))
    outcome = await run(company, staff(e1="ben", e3="ann"))
    assert await addresses(company) == {"e1": None, "e2": "ben", "e3": "ann"}
    assert sorted((problem.line, problem.code) for problem in outcome.messages) == [
        (2, "email_taken"),
        (3, "address_taken_over"),
    ]
    assert (await states(company))["e1"] == "deactivated"


async def test_a_protected_leaver_swaps_addresses_and_stays_active(company: Company) -> None:
    await company.sql("UPDATE users SET protected = true WHERE external_id = 'e1'")
    outcome = await run(company, staff_with("deactivate", e1=("ben", "1"), e2=("ann", "")))
    assert await addresses(company) == {"e1": "ben", "e2": "ann", "e3": "cleo"}
    assert (codes(outcome), (await states(company))["e1"]) == (["protected_user"], "active")


async def test_an_address_goes_to_the_first_row_that_wants_it_also_before_a_new_user(company: Company) -> None:
    outcome = await run(company, staff(e1="new", e9="new"))
    assert await addresses(company) == {"e1": "new", "e2": "ben", "e3": "cleo"}
    assert [(problem.line, problem.code) for problem in outcome.messages] == [(3, "email_taken")]


async def test_a_leaver_without_the_new_address_is_warned_of_every_time(company: Company) -> None:
    content = staff_with("deactivate", e1=("ben", "1"), e2=("ben", ""))
    for _ in range(2):
        assert codes(await run(company, content)) == ["email_taken"]


async def test_managers_are_found_by_number_or_else_by_address(company: Company) -> None:
    await run(company, staff_with("manager", e1=("ann", "e9"), e2=("ben", "CLEO@e.com"), e9=("zoe", "e1")))
    users = {row[0]: row[1] for row in await company.sql("SELECT external_id, id FROM users")}
    managers = dict(await company.sql("SELECT external_id, manager_id FROM users"))  # type: ignore[arg-type]
    assert managers == {"e1": users["e9"], "e2": users["e3"], "e3": None, "e9": users["e1"]}


async def test_a_new_user_whose_number_is_a_manager_s_address_becomes_the_manager(company: Company) -> None:
    content = staff_with("manager", e1=("ann", "cleo@e.com"), e3=("cleo", ""))
    await run(company, content)
    outcome = await run(company, content + b"cleo@e.com,Zoe,S,zoe@e.com,\n")
    assert (outcome.counts.created, outcome.counts.updated) == (1, 1)
    assert await manager_of(company, "e1") == "cleo@e.com"


async def test_a_link_to_a_user_whose_creation_was_undone_is_unknown(company: Company) -> None:
    await run(company, staff(e9="zoe"))
    await company.undo(**BY_NUMBER)
    outcome = await run(company, staff_with("manager", e1=("ann", "zoe@e.com"), e2=("ben", "e9"), e3=("cleo", "e1")))
    assert codes(outcome) == ["unknown_link", "unknown_link"]
    assert [await manager_of(company, number) for number in ("e1", "e2", "e3")] == [None, None, "e1"]


async def test_a_user_with_their_own_address_as_manager_gets_no_manager(company: Company) -> None:
    outcome = await run(company, staff_with("manager", e1=("ann", "ann@e.com"), e2=("ben", "e2")))
    assert codes(outcome) == ["link_to_oneself", "link_to_oneself"]
    assert await manager_of(company, "e1") is None


async def test_messages_name_a_user_without_an_address_by_number(company: Company) -> None:
    await run(company, staff_with("manager", e1=("ann", "e2"), e2=("ben", ""), e3=("cleo", "")))
    outcome = await run(company, staff_with("deactivate", e2=("ben", "1"), e3=("ben", "")))
    (problem,) = [problem for problem in outcome.messages if problem.code == "deactivated_link"]
    assert (problem.value, "None" in problem.message) == ("e2", False)


async def test_messages_name_protected_users_by_number(company: Company) -> None:
    await company.sql("UPDATE users SET protected = true WHERE external_id <> 'e1'")
    outcome = await run(company, staff_with("deactivate", e1=("ann", ""), e2=("ben", "1")), deactivate_missing=True)
    said = {problem.value: problem.line for problem in outcome.messages if problem.code == "protected_user"}
    assert said == {"e2": 3, "e3": None}


async def test_the_list_of_a_held_import_names_users_by_number(company: Company) -> None:
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


async def test_an_address_respelled_and_then_taken_over_is_set_back(company: Company) -> None:
    before = await company.users()
    leaving = sheet(
        ("e1", "E1", "S", "ANN@e.com", "1"), ("e2", "E2", "S", "ann@e.com", ""), header=(*HEADER, "deactivate")
    )
    taken = await company.run(leaving, **BY_NUMBER)
    assert "address_taken_over" in codes(taken)
    undone = await company.undo(**BY_NUMBER)
    assert "changed_since" not in codes(undone)
    assert await company.users() == before


async def test_an_address_that_another_user_has_now_is_not_set_back(company: Company) -> None:
    await run(company, staff(e1="ben", e2="ann"))
    await company.sql("UPDATE users SET email = 'x@e.com', email_key = 'x@e.com' WHERE external_id = 'e1'")
    await company.sql("UPDATE users SET email = 'ben@e.com', email_key = 'ben@e.com' WHERE external_id = 'e3'")
    undone = await company.undo(**BY_NUMBER)
    assert await addresses(company) == {"e1": "x", "e2": "ann", "e3": "ben"}
    assert codes(undone) == ["changed_since", "changed_since"]


async def test_an_address_that_is_taken_now_stops_the_undo_of_its_whole_chain(company: Company) -> None:
    await run(company, staff(e1="new", e2="ann", e3="ben", e4="dora"))
    await company.sql("UPDATE users SET email = 'cleo@e.com', email_key = 'cleo@e.com' WHERE external_id = 'e4'")
    await company.sql("UPDATE users SET protected = true WHERE external_id = 'e4'")
    undone = await company.undo(**BY_NUMBER)
    assert await addresses(company) == {"e1": "new", "e2": "ann", "e3": "ben", "e4": "cleo"}
    assert codes(undone) == ["protected_user", *["changed_since"] * 3]
    assert [problem.message.count("the previous address ") for problem in undone.messages] == [0, 1, 1, 1]


async def test_a_swap_of_addresses_is_undone_in_the_history_and_counted(company: Company) -> None:
    await run(company, staff(e1="ben", e2="ann"))
    undone = await company.undo(**BY_NUMBER)
    history = await company.sql("SELECT user_id, field, old, new FROM changes WHERE undo = true ORDER BY user_id")
    assert history == [(1, "email", "ben@e.com", "ann@e.com"), (2, "email", "ann@e.com", "ben@e.com")]
    assert undone.message == "Undone by operator: 2 users set back."


async def test_a_new_spelling_of_an_address_is_undone(company: Company) -> None:
    before = await company.users()
    assert (await run(company, staff(e1="ANN"))).counts.updated == 1
    assert "changed_since" not in codes(await company.undo(**BY_NUMBER))
    assert await company.users() == before


async def test_an_address_is_set_back_for_a_user_whose_name_changed_since(company: Company) -> None:
    await run(company, staff(e1="new", e2="ben", e3="cleo"))
    await company.sql("UPDATE users SET last_name = 'By hand' WHERE external_id = 'e1'")
    undone = await company.undo(**BY_NUMBER)
    assert await company.sql("SELECT email, last_name FROM users WHERE external_id = 'e1'") == [
        ("ann@e.com", "By hand")
    ]
    assert codes(undone) == []


async def test_an_undo_does_not_set_back_the_current_identifier(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(sheet(("Ann", "S", "ann@e.com"), header=HEADER[1:]), custom_fields=FIELD)
    await company.run(staff(e1="ann"), custom_fields=FIELD)
    await change_settings(company.kept, {**BY_NUMBER, "custom_fields": [*FIELD]}, by="owner")
    undone = await company.undo(**BY_NUMBER)
    (ann,) = (await company.users()).values()
    assert (ann["first_name"], ann["custom"]) == ("Ann", {"employee_id": "e1"})
    assert [(problem.code, problem.column) for problem in undone.messages] == [("changed_since", "employee_id")]
    assert (await run(company, staff(e1="ann"))).counts.updated == 1


async def test_an_import_that_began_before_the_identifier_was_changed_has_to_wait(company: Company) -> None:
    job = Job("acme", 9, company.folder / "1.csv", "sync_users.csv", False, None, None, datetime.now(UTC))
    with pytest.raises(TryAgain):
        await run_import(job, company.kept, ImportSettings(custom_fields=FIELD), company.messages)
    assert await company.sql("SELECT count(*) FROM users") == [(3,)]
    undo = UndoJob("acme", 1, "operator", BY_ADDRESS, datetime.now(UTC))
    with pytest.raises(TryAgain):
        await undo_import(undo, company.kept, company.messages)
    assert (await company.undo(**BY_NUMBER)).counts.created == 3
