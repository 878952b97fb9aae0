"""Users with a new identifier in the file: reported in pairs, and the import is held if they are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from importer.model import GuardReason, ImportState, Outcome, Severity
from importer.requests import Approval
from tests.support.importing import HEADER, Company, codes, sheet
from tests.support.installation import company_in

NUMBERED = ("employee_id", *HEADER)
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", "custom_fields": ({"key": "employee_id"},)}
WITH_NUMBER: dict[str, Any] = {"custom_fields": ({"key": "employee_id"}, {"key": "city"}, {"key": "floor"})}
ALL = {"deactivate_missing": True}
SAME = "perhaps_the_same_person"
CHANGED = GuardReason.IDENTIFIERS_CHANGED


def staff(renumbered: Mapping[str, str], count: int = 43, **other: str) -> bytes:
    """Return rows with employee numbers, the first three with leading zeros, some `renumbered`."""
    numbers = [f"{number:05}" for number in (123, 124, 125, *range(20000, 20000 + count - 3))]
    rows = [
        (renumbered.get(number, number), f"F{at}", f"L{at}", f"u{at}@a.test", *other.values())
        for at, number in enumerate(numbers)
    ]
    return sheet(*rows, header=(*NUMBERED, *other))


ZEROS = {"00123": "123", "00124": "124", "00125": "125"}


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


def pairs(outcome: Outcome) -> list[str]:
    found = [problem for problem in outcome.messages if problem.code == SAME]
    assert all(problem.severity is Severity.WARNING for problem in found)
    return [problem.message for problem in found]


async def numbers(company: Company, state: str = "active") -> set[str]:
    return {row[0] for row in await company.sql("SELECT external_id FROM users WHERE state = ?", (state,))}


async def test_lost_leading_zeros_hold_the_import_and_name_each_pair(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    for dry_run in (True, False):
        outcome = await company.run(staff(ZEROS), dry_run=dry_run, **ALL, **BY_NUMBER)
        assert (outcome.state, outcome.guard and outcome.guard.reasons) == (ImportState.HELD, (CHANGED,))
        assert all(word in (outcome.message or "") for word in ("00123 and 123", "employee_id", "as text"))
        assert len(pairs(outcome)) == 3
        assert all(word in pairs(outcome)[0] for word in ("00123", "123", "u0@a.test"))
        assert "address_taken_over" not in codes(outcome)
        (whole,) = [problem for problem in outcome.messages if problem.code == CHANGED]
        assert (whole.line, whole.severity) == (None, Severity.WARNING)
        assert "as text" in whole.message
        assert [problem.line for problem in outcome.messages if problem.code == SAME] == [2, 3, 4]
    assert await numbers(company, "deactivated") == set()


async def test_an_approval_waives_changed_identifiers(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    held = await company.run(staff(ZEROS), **ALL, **BY_NUMBER)
    assert held.guard is not None
    listed = frozenset(entry["user_id"] for entry in company.touched() if entry["action"] == "deactivated")
    approval = Approval("operator", "2026-01-01T00:00:00.000Z", held.guard.reasons, listed)
    outcome = await company.run(staff(ZEROS), approval=approval, **ALL, **BY_NUMBER)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.COMPLETED, 3)
    again = await company.run(staff(ZEROS), **ALL, **BY_NUMBER)
    assert (again.state, codes(again)) == (ImportState.UNCHANGED, [])


async def test_a_limit_of_100_percent_turns_the_hold_off_but_not_the_warnings(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    outcome = await company.run(staff(ZEROS), max_deactivations_percent=100, **ALL, **BY_NUMBER)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.COMPLETED, 3)
    assert outcome.counts.warnings == 4


async def test_two_pairs_are_reported_and_not_held(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    outcome = await company.run(staff({"00123": "x", "20000": "y"}), **ALL, **BY_NUMBER)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.COMPLETED, 2)


async def test_three_pairs_among_many_leavers_are_not_held(company: Company) -> None:
    await company.run(staff({}, 400), **ALL, **BY_NUMBER)
    fewer = staff(ZEROS, 385)
    outcome = await company.run(fewer, detect_truncation=False, **ALL, **BY_NUMBER)
    assert (outcome.counts.deactivated, len(pairs(outcome)), outcome.state) == (18, 3, ImportState.COMPLETED)


async def test_a_new_numbering_names_the_address_as_identifier(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    outcome = await company.run(staff({"20000": "A1", "20001": "A2", "20002": "A3"}), **ALL, **BY_NUMBER)
    assert outcome.state is ImportState.HELD
    assert "set identifier to email" in (outcome.message or "")


async def test_an_import_that_is_applied_says_to_undo_it_first(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    new, off = staff({"20000": "A1", "20001": "A2", "20002": "A3"}), {"max_deactivations_percent": 100}
    tried = await company.run(new, dry_run=True, **off, **ALL, **BY_NUMBER)
    assert "set identifier to email before this file is applied" in (tried.message or "")
    outcome = await company.run(new, **off, **ALL, **BY_NUMBER)
    (said,) = [problem.message for problem in outcome.messages if problem.code == CHANGED]
    assert "undo this import, set identifier to email, and send the file again" in said
    assert "before this file is applied" not in (outcome.message or "")


@pytest.mark.parametrize("turn", [1, -1], ids=["old_first", "new_first"])
async def test_a_rehire_under_a_new_number_is_reported_with_the_old_one(company: Company, turn: int) -> None:
    header = (*NUMBERED, "deactivate")
    await company.run(sheet(("E1", "Ann", "Lee", "ann@a.test", ""), header=header), **BY_NUMBER)
    rows = [("E1", "Ann", "Lee", "ann@a.test", "yes"), ("E9", "Ann", "Lee", "ann@a.test", "")][::turn]
    outcome = await company.run(sheet(*rows, header=header), **BY_NUMBER)
    assert (outcome.state, await numbers(company), len(pairs(outcome))) == (ImportState.COMPLETED, {"E9"}, 1)
    assert "address_taken_over" not in codes(outcome)


async def test_a_new_user_with_the_address_of_a_deactivated_one_is_reported(company: Company) -> None:
    await company.run(staff({}), **ALL, **BY_NUMBER)
    await company.sql("UPDATE users SET state = 'deactivated' WHERE external_id IN ('00123', '00124', '00125')")
    outcome = await company.run(staff(ZEROS), **ALL, **BY_NUMBER)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.COMPLETED, 3)
    assert all("was deactivated before" in message for message in pairs(outcome))


async def test_a_new_user_with_an_address_that_its_user_gave_up_is_not_reported(company: Company) -> None:
    await company.run(sheet(("E1", "Ann", "Lee", "ann@a.test"), header=NUMBERED), **BY_NUMBER)
    rows = [("E1", "Ann", "Lee", "ann2@a.test"), ("E9", "Ann", "Ng", "ann@a.test")]
    outcome = await company.run(sheet(*rows, header=NUMBERED), **BY_NUMBER)
    assert (outcome.counts.created, codes(outcome)) == (1, [])


async def test_a_protected_user_keeps_the_record_when_zeros_are_lost(company: Company) -> None:
    await company.run(staff({}, manager=""), **ALL, **BY_NUMBER)
    await company.sql("UPDATE users SET protected = true WHERE external_id = '00124'")
    outcome = await company.run(staff(ZEROS, manager="123"), **ALL, **BY_NUMBER)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.COMPLETED_WITH_ERRORS, 2)
    assert await numbers(company, "deactivated") == {"00123", "00125"}
    back = await company.run(staff({}, manager=""), **ALL, **BY_NUMBER)
    assert (back.counts.reactivated, back.counts.created) == (2, 0)
    assert await numbers(company, "deactivated") == {"123", "125"}


# By email.


def mailed(domain: str, *, number: bool = False, city: str = "Berlin", case: bool = False) -> bytes:
    header = (*HEADER, *(["employee_id", "city"] if number else []))
    rows: list[Sequence[str]] = []
    for at in range(12):
        first = f"Jörg{at}".upper() if case else f"Jörg{at}"
        row = (first, "Lee", f"u{at}@{domain if at < 4 else 'old.test'}")
        rows.append((*row, f"E{at}", city) if number else row)
    return sheet(*rows, header=header)


@pytest.mark.parametrize("case", [False, True])
async def test_a_changed_domain_holds_the_import_and_is_named_as_the_cause(company: Company, case: bool) -> None:
    settings: dict[str, Any] = {**ALL, "max_deactivations_percent": 50}
    await company.run(mailed("old.test"), **settings)
    outcome = await company.run(mailed("new.test", case=case), **settings)
    assert (outcome.state, outcome.guard and outcome.guard.reasons) == (ImportState.HELD, (CHANGED,))
    assert "The domain of their addresses changed" in (outcome.message or "")
    assert len(pairs(outcome)) == 4
    assert all(word in pairs(outcome)[0] for word in ("u0@old.test", "u0@new.test", "are named"))


async def test_a_field_that_no_two_users_share_shows_which_users_were_renamed(company: Company) -> None:
    settings: dict[str, Any] = {**ALL, **WITH_NUMBER, "max_deactivations_percent": 50}
    await company.run(mailed("old.test", number=True), **settings)
    outcome = await company.run(mailed("new.test", number=True), **settings)
    assert outcome.state is ImportState.HELD
    assert "set identifier to employee_id" in (outcome.message or "")
    assert "both have the employee_id E0" in pairs(outcome)[0]


@pytest.mark.parametrize("tells", [{"type": "number"}, {"type": "text"}])
async def test_a_field_that_cannot_be_the_identifier_is_not_suggested_as_one(
    company: Company, tells: dict[str, str]
) -> None:
    mapping = {"value_mapping": {"badge": {"none": ""}}} if tells["type"] == "text" else {}
    settings: dict[str, Any] = {**ALL, **mapping, "custom_fields": ({"key": "badge", **tells},)}
    rows = [(f"N{at}", "S", f"n{at}@old.test", str(100 + at)) for at in range(40)]
    moved = [(name, last, address.replace("old", "new"), badge) for name, last, address, badge in rows[:4]]
    await company.run(sheet(*rows, header=(*HEADER, "badge")), **settings)
    outcome = await company.run(sheet(*moved, *rows[4:], header=(*HEADER, "badge")), **settings)
    assert (outcome.state, len(pairs(outcome))) == (ImportState.HELD, 4)
    assert "set identifier to badge" not in (outcome.message or "")
    assert "employee_id as a custom field" in (outcome.message or "")


async def test_a_married_user_is_found_by_the_number_and_not_by_a_shared_city(company: Company) -> None:
    header = (*HEADER, "employee_id", "city")
    rows = [(f"N{at}", "S", f"n{at}@a.test", f"0{at}", "Berlin") for at in range(5)]
    ann, anna = ("Ann", "Lee", "ann@a.test", "007", "Bonn"), ("Anna", "Ng", "ng@a.test", "007", "Bonn")
    zoe = ("Zoe", "New", "zoe@a.test", "7", "Berlin")
    await company.run(sheet(*rows, ann, header=header), **ALL, **WITH_NUMBER)
    outcome = await company.run(sheet(*rows, anna, zoe, header=header), **ALL, **WITH_NUMBER)
    (message,) = pairs(outcome)
    assert all(word in message for word in ("ann@a.test", "ng@a.test", "employee_id 007"))


async def test_users_of_one_city_are_not_mistaken_for_one_person(company: Company) -> None:
    header = (*HEADER, "city")
    rows = [(f"N{at}", "S", f"n{at}@a.test", "Berlin") for at in range(5)]
    await company.run(sheet(*rows, ("Ann", "Lee", "ann@a.test", "Bonn"), header=header), **ALL, **WITH_NUMBER)
    new = ("Zoe", "New", "zoe@a.test", "Bonn")
    outcome = await company.run(sheet(*rows, new, header=header), **ALL, **WITH_NUMBER)
    assert (outcome.counts.created, outcome.counts.deactivated, codes(outcome)) == (1, 1, [])


async def test_users_with_one_name_are_paired_once_each(company: Company) -> None:
    rows = [(f"N{at}", "S", f"n{at}@a.test") for at in range(30)]
    old = [("Ann", "Lee", f"old{at}@a.test") for at in range(2)]
    new = [("Ann", "Lee", f"new{at}@a.test") for at in range(5)]
    await company.run(sheet(*old, *rows), **ALL)
    outcome = await company.run(sheet(*new, *rows), **ALL)
    assert (outcome.state, outcome.counts.created, len(pairs(outcome))) == (ImportState.COMPLETED, 5, 2)
    await company.undo()
    again = await company.run(sheet(*new, *rows), **ALL)
    assert (again.counts.created, len(pairs(again))) == (5, 2)


async def test_a_first_import_and_one_without_leavers_compare_nothing(company: Company) -> None:
    twins = sheet(*[("Ann", "Lee", f"ann{at}@a.test") for at in range(4)])
    assert codes(await company.run(twins)) == []
    assert codes(await company.run(twins + b"Ann,Lee,ann9@a.test\n", **ALL)) == []
