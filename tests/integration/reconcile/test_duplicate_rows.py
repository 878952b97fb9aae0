"""Several rows with one identifier: which one counts, and the messages about the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState, Outcome, Problem, Severity
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

LEAVING = (*HEADER, "deactivate")
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", "custom_fields": ({"key": "employee_id"},)}
ANN, BEN = "ann@example.com", "ben@example.com"
STAYS, LEAVES = ("Ann", "Smith", ANN, "no"), ("Ann", "Smith", ANN, "yes")
OTHERS = [(f"N{number}", "S", f"n{number}@example.com", "") for number in range(3)]


@pytest.fixture(params=[1, 2, 2000])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    return company_in(tmp_path, request.param)


async def state_of(company: Company, address: str) -> str:
    return str((await company.users())[address]["state"])


def said(outcome: Outcome, code: str) -> Problem:
    (problem,) = [problem for problem in outcome.messages if problem.code == code]
    return problem


def told(problem: Problem) -> tuple[int | None, Severity]:
    return problem.line, problem.severity


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("rows", [[LEAVES, *OTHERS, STAYS], [STAYS, *OTHERS, LEAVES]], ids=["after", "before"])
async def test_a_row_that_is_not_a_leaver_counts_wherever_it_is(
    company: Company, rows: list[Sequence[str]], missing: bool
) -> None:
    await company.run(people("ann", "ben"))
    about_ann = "SELECT * FROM changes WHERE 1 BETWEEN user_id - more AND user_id"
    history = await company.sql(about_ann)
    settings: dict[str, Any] = {"deactivate_missing": missing, "max_deactivations_percent": 100}
    content = sheet(*rows, ("Ben", "Smith", BEN, ""), header=LEAVING)
    for state in (ImportState.COMPLETED, ImportState.UNCHANGED):
        tried = await company.run(content, dry_run=True, **settings)
        outcome = await company.run(content, **settings)
        assert (tried.state, tried.counts, tried.messages) == (outcome.state, outcome.counts, outcome.messages)
        assert outcome.state is state
        assert (outcome.counts.ignored, outcome.counts.rejected, outcome.counts.deactivated) == (1, 0, 0)
        problem = said(outcome, "leaver_row_ignored")
        assert told(problem) == (rows.index(LEAVES) + 2, Severity.WARNING)
        assert f"line {rows.index(STAYS) + 2}" in problem.message
        assert await state_of(company, ANN) == "active"
    assert await company.sql(about_ann) == history


async def test_a_deactivated_user_with_an_old_and_a_new_row_is_reactivated(company: Company) -> None:
    await company.run(people("ann", "ben"))
    gone = sheet(LEAVES, ("Ben", "Smith", BEN, ""), header=LEAVING)
    await company.run(gone)
    assert await state_of(company, ANN) == "deactivated"
    outcome = await company.run(gone + b"New,Smith,new@example.com,\nAnn,Smith,ann@example.com,no\n")
    assert (outcome.counts.reactivated, outcome.counts.ignored, outcome.counts.unchanged) == (1, 1, 1)
    assert told(said(outcome, "leaver_row_ignored")) == (2, Severity.WARNING)
    assert await state_of(company, ANN) == "active"
    assert outcome.counts.rows == 4
    await company.undo()
    assert await state_of(company, ANN) == "deactivated"


async def test_a_leavers_row_known_by_its_text_is_ignored_beside_a_rejected_row(company: Company) -> None:
    await company.run(people("ann", "ben"))
    gone = sheet(LEAVES, *OTHERS, header=LEAVING)
    await company.run(gone)
    outcome = await company.run(gone + b"Ann,,ann@example.com,no\nAnn,Smith,ann@example.com,\n")
    assert (outcome.counts.ignored, outcome.counts.rejected, outcome.counts.unchanged) == (1, 2, 3)
    assert sorted((each.line or 0, each.code) for each in outcome.messages) == [
        (2, "leaver_row_ignored"),
        (6, "missing_value"),
        (7, "duplicate_identifier"),
    ]
    assert await state_of(company, ANN) == "deactivated", "a rejected row changes nothing"


async def test_an_unknown_leavers_row_above_an_active_one_lets_it_create(company: Company) -> None:
    outcome = await company.run(sheet(LEAVES, *OTHERS, STAYS, header=LEAVING))
    assert (outcome.counts.created, outcome.counts.ignored, codes(outcome)) == (4, 1, ["leaver_row_ignored"])
    assert await state_of(company, ANN) == "active"


async def test_a_user_whose_counting_row_is_rejected_is_not_deactivated(company: Company) -> None:
    await company.run(people("ann", "ben"))
    broken = ("Ann", "", ANN, "")
    settings: dict[str, Any] = {"deactivate_missing": True, "max_deactivations_percent": 100}
    outcome = await company.run(sheet(LEAVES, ("Ben", "Smith", BEN, ""), broken, header=LEAVING), **settings)
    assert (outcome.counts.ignored, outcome.counts.rejected) == (1, 1)
    assert await state_of(company, ANN) == "active"


async def test_the_first_of_several_leaver_rows_counts(company: Company) -> None:
    await company.run(people("ann", "ben"))
    second = ("Anna", "Smith", ANN, "yes")
    first = await company.run(sheet(second, *OTHERS, header=LEAVING))
    assert first.counts.deactivated == 1
    outcome = await company.run(sheet(LEAVES, *OTHERS, second, header=LEAVING))
    assert (outcome.counts.rejected, outcome.counts.updated, codes(outcome)) == (1, 1, ["duplicate_identifier"])
    assert (await company.users())[ANN]["first_name"] == "Ann"
    unknown = ("Zoe", "S", "zoe@example.com", "yes")
    ignored = await company.run(sheet(unknown, *OTHERS, unknown, header=LEAVING))
    assert sorted(codes(ignored)) == ["deactivate_unknown", "duplicate_identifier"]


async def test_a_new_user_who_waits_for_an_address_is_not_a_leaver(company: Company) -> None:
    header = ("employee_id", *LEAVING)
    await company.run(sheet(("e1", "Ann", "S", ANN, ""), header=header), **BY_NUMBER)
    rows = [
        ("e9", "Zoe", "S", ANN, "yes"),
        ("e2", "Ben", "S", BEN, ""),
        ("e9", "Zoe", "S", ANN, ""),
        ("e1", "Ann", "S", "new@example.com", ""),
        ("e9", "Zoe", "S", ANN, "yes"),
    ]
    outcome = await company.run(sheet(*rows, header=header), **BY_NUMBER)
    assert (outcome.counts.created, outcome.counts.ignored) == (2, 2)
    assert (await company.users())[ANN]["first_name"] == "Zoe"


async def test_a_duplicate_says_in_what_the_two_rows_differ(company: Company) -> None:
    header = (*HEADER, "job_title", "primary_team")
    rows = [
        ("Ann", "Lee", ANN, "Teacher", "School A"),
        ("Bo", "Ng", BEN, "Cook", "School A"),
        ("Ann", "Lee", "Ann@Example.com", "Coach", "School B"),
    ]
    for _ in range(2):
        outcome = await company.run(sheet(*rows, header=header))
        problem = said(outcome, "duplicate_identifier")
        assert told(problem) == (4, Severity.ERROR)
        assert "Line 2 " in problem.message
        assert "job_title and primary_team." in problem.message
        assert "two people" not in problem.message
    assert outcome.state is ImportState.COMPLETED_WITH_ERRORS
    assert (await company.users())[ANN]["job_title"] == "Teacher"


async def test_rows_with_two_names_may_be_two_people(company: Company) -> None:
    header = ("employee_id", *HEADER)
    rows = [("1.23E+05", "Ann", "Lee", ANN), ("1.23E+05", "Bo", "Ng", BEN), ("1.24E+05", "Cy", "Oh", "cy@oh.test")]
    outcome = await company.run(sheet(*rows, header=header), **BY_NUMBER)
    problem = said(outcome, "duplicate_identifier")
    assert (problem.line, problem.column, problem.value) == (3, "employee_id", "1.23E+05")
    assert "Ann Lee and Bo Ng may be two people" in problem.message
    assert codes(outcome).count("mangled_number") == 2, "a rejected row tells its errors"
    beside = [("e5", "Ann", "Lee", ANN, "yes"), ("e5", "Bo", "Ng", BEN, "")]
    ignored = await company.run(sheet(*beside, header=("employee_id", *LEAVING)), **BY_NUMBER)
    assert "may be two people" in said(ignored, "leaver_row_ignored").message


async def test_an_identical_row_is_reported_with_the_first_line(company: Company) -> None:
    rows = [("Ann", "Smith", ANN, "no"), *OTHERS, (" Ann ", "Smith", ANN.upper(), "")]
    outcome = await company.run(sheet(*rows, header=LEAVING))
    assert said(outcome, "duplicate_identifier").message.startswith("This row says the same as line ")
