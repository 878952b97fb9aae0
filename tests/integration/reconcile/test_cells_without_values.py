"""Placeholders in cells are not values; each import reports them once for each column."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState, Outcome, Severity
from tests.support.importing import HEADER, Company, codes, sheet
from tests.support.installation import company_in

TRUSTING: dict[str, Any] = {"detect_truncation": False}


@pytest.fixture(params=[1, 2, 5000])
def company(tmp_path: Path, request: pytest.FixtureRequest) -> Company:
    """A company with batches of one row, of two rows, or of all."""
    return company_in(tmp_path, request.param)


def staff(*cells: tuple[str, ...], columns: tuple[str, ...] = ("job_title",)) -> bytes:
    """Return rows with these cells in the further columns."""
    rows = [(f"P{at}", "Smith", f"p{at}@example.com", *each) for at, each in enumerate(cells)]
    return sheet(*rows, header=(*HEADER, *columns))


def said(outcome: Outcome) -> list[tuple[str, str | None, int | None]]:
    return [(problem.code, problem.column, problem.line) for problem in outcome.messages]


async def titles(company: Company) -> list[str | None]:
    return [user["job_title"] for user in (await company.users()).values()]


async def test_cells_of_a_column_are_counted_in_one_warning_each_time(company: Company) -> None:
    content = staff(("Boss",), ("NULL",), ("N/A",), ("NULL",), ("#N/A",), ('="x"',), ("R&amp;D",))
    for number in range(3):
        outcome = await company.run(content)
        assert said(outcome) == [
            ("spreadsheet_error", "job_title", 6),
            ("formula", "job_title", 7),
            ("placeholder", "job_title", 3),
            ("html_entities", "job_title", 8),
        ]
        assert outcome.messages[2].message.startswith("job_title: 3 cells hold “NULL” or “N/A” (lines 3, 4, 5).")
        assert outcome.counts.warnings == 4
        assert outcome.state is (ImportState.UNCHANGED if number else ImportState.COMPLETED)
    assert await titles(company) == ["Boss", "NULL", "N/A", "NULL", None, None, "R&amp;D"]


async def test_an_error_or_formula_leaves_the_field_and_a_correct_cell_sets_it(company: Company) -> None:
    await company.run(staff(("Boss",), ("Baker",)))
    outcome = await company.run(staff(("#REF!",), ("=VLOOKUP(A1,B:C,2)",)))
    assert (outcome.state, outcome.counts.unchanged) == (ImportState.UNCHANGED, 2)
    assert await titles(company) == ["Boss", "Baker"]
    outcome = await company.run(staff(("Cook",), ("'=VLOOKUP(A1,B:C,2)",)))
    assert codes(outcome) == []
    assert await titles(company) == ["Cook", "=VLOOKUP(A1,B:C,2)"]


async def test_an_unchanged_cell_is_counted_in_the_warning_of_its_column(company: Company) -> None:
    await company.run(staff(("NULL",), ("NULL",), ("Boss",)))
    outcome = await company.run(staff(("NULL",), ("Cook",), ("Boss",)))
    assert said(outcome) == [("placeholder", "job_title", 2)]
    assert (outcome.counts.updated, outcome.counts.unchanged) == (1, 2)


async def test_rows_that_are_not_applied_are_not_counted(company: Company) -> None:
    columns = ("job_title", "role", "deactivate")
    content = staff(("NULL", "boss", ""), ("NULL", "", "1"), ("NULL", "", ""), columns=columns)
    outcome = await company.run(content)
    assert said(outcome)[0] == ("placeholder", "job_title", 4)
    assert outcome.messages[0].message.startswith("job_title: 1 cell holds “NULL” (line 4).")


async def test_a_dry_run_has_the_messages_of_the_import(company: Company) -> None:
    content = staff(("NULL",), ("#N/A",))
    tried = await company.run(content, dry_run=True)
    assert tried.messages == (await company.run(content)).messages


async def test_people_called_null_are_named_only_where_there_are_two(company: Company) -> None:
    ann, bo = ("Ann", "Null", "ann@example.com"), ("Bo", "NULL", "bo@example.com")
    assert codes(await company.run(sheet(ann))) == []
    assert codes(await company.run(sheet(ann))) == []
    outcome = await company.run(sheet(ann, bo))
    assert said(outcome) == [("placeholder", "last_name", 2)]
    assert {user["last_name"] for user in (await company.users()).values()} == {"Null", "NULL"}


async def test_an_identifier_that_is_an_error_rejects_its_row_and_no_user_is_absent(company: Company) -> None:
    number: dict[str, Any] = {"custom_fields": [{"key": "number"}], "identifier": "number"}
    await company.run(staff(("1",), ("2",), columns=("number",)), **number)
    outcome = await company.run(
        staff(("1",), ("#N/A",), columns=("number",)), deactivate_missing=True, **TRUSTING, **number
    )
    assert codes(outcome) == ["absent_not_deactivated", "spreadsheet_error"]
    assert {user["state"] for user in (await company.users()).values()} == {"active"}


async def test_a_formula_in_a_rejected_row_is_named_in_errors_csv_which_makes_it_text(company: Company) -> None:
    await company.run(staff(("=1+1", "boss"), ("#N/A", "boss"), ("", ""), columns=("job_title", "role")))
    lines = list(csv.reader(io.StringIO(company.errors_csv().decode("utf-8-sig"))))
    assert [line[1] for line in lines[1:]] == ["formula; unknown_role", "unknown_role"]
    assert [line[6] for line in lines[1:]] == ["'=1+1", "#N/A"]


async def test_a_column_of_placeholders_is_counted_over_all_batches(tmp_path: Path) -> None:
    company = company_in(tmp_path, 100)
    outcome = await company.run(staff(*[("-",)] * 1000))
    assert outcome.messages[0].message.startswith("job_title: 1,000 cells hold “-” (lines 2, 3, 4, 5, 6, …).")
    assert codes(outcome) == ["placeholder"]


# Real exports


NULLS = r"""first_name,last_name,email,job_title,manager,primary_team,secondary_team,location,\
hire_date,language,role,deactivate
Ann,Lee,ann@a.test,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL
Bo,Ng,bo@a.test,\N,\N,\N,\N,\N,,,,
Cy,Oh,cy@a.test,N/A,-,-,-,n/a,,,,
Di,Po,di@a.test,#N/A,#REF!,None,nan,None,,,,
Ed,Qu,ed@a.test,Boss,null,Ops,,HQ,,,,
"""


async def test_an_export_with_placeholders_warns_once_for_each_column(company: Company) -> None:
    outcome = await company.run(NULLS.replace("\\\n", "").encode())
    rejected = [problem.code for problem in outcome.messages if problem.severity is Severity.ERROR]
    assert sorted(rejected) == ["bad_date", "bad_deactivate", "unknown_language", "unknown_role"]
    warned = sorted((p.column, p.code) for p in outcome.messages if p.severity is Severity.WARNING)
    assert [each for each in warned if each[1] != "malformed_link"] == [
        ("job_title", "placeholder"),
        ("job_title", "spreadsheet_error"),
        ("location", "placeholder"),
        ("manager", "spreadsheet_error"),
        ("primary_team", "placeholder"),
        ("secondary_team", "placeholder"),
    ]
    assert warned.count(("manager", "malformed_link")) == 3


async def test_mapped_placeholders_are_blank_and_give_no_message(company: Company) -> None:
    mapping = {"primary_team": {"NULL": "", "\\N": ""}, "manager": {"NULL": ""}, "hire_date": {"NULL": ""}}
    rows = [
        ("Ann", "Lee", "ann@a.test", "NULL", "NULL", "NULL"),
        ("Bo", "Ng", "bo@a.test", "null", "\\N", "null"),
    ]
    header = (*HEADER, "manager", "primary_team", "hire_date")
    outcome = await company.run(sheet(*rows, header=header), value_mapping=mapping)
    assert (outcome.state, codes(outcome), outcome.counts.teams_created) == (ImportState.COMPLETED, [], 0)
    users = (await company.users()).values()
    assert {(user["manager"], user["primary_team"], user["hire_date"]) for user in users} == {(None, None, None)}


async def test_names_of_teams_are_kept_as_written(company: Company) -> None:
    teams = [
        ("Sales/EMEA/North", "Sales/EMEA;Sales/APAC"),
        ("Sales > EMEA > North", "A|B|C"),
        ("Sales, Marketing & PR", "Sales, Marketing & PR, Ops"),
        ("OU=Sales,OU=EMEA,DC=acme,DC=test", "CN=All Staff,OU=Groups,DC=acme"),
        ("12345", "['Team A', 'Team B']"),
    ]
    outcome = await company.run(staff(*teams, columns=("primary_team", "secondary_team")))
    assert codes(outcome) == []
    users = list((await company.users()).values())
    assert [user["primary_team"] for user in users] == [primary for primary, _ in teams]
    assert users[2]["secondary_team"] == ["Sales", "Marketing & PR", "Ops"]


async def test_day_numbers_of_a_spreadsheet_are_rejected_with_the_day_they_mean(company: Company) -> None:
    outcome = await company.run(staff(("45231",), ("44927",), ("2024-01-05",), columns=("hire_date",)))
    assert codes(outcome) == ["bad_date"] * 2
    assert ["2023-11-01" in problem.message for problem in outcome.messages] == [True, False]
    assert "2023-01-01" in outcome.messages[1].message


async def test_a_user_with_one_name_is_reported_and_may_have_a_dash(company: Company) -> None:
    rows = [("Sukarno", "", "su@a.test"), ("", "Suharto", "sh@a.test"), ("Teller", "-", "t@a.test")]
    outcome = await company.run(sheet(*rows, ("Tell", "-", "t2@a.test")))
    assert codes(outcome) == ["missing_value"] * 2
    assert all("with one name" in problem.message for problem in outcome.messages)
    assert outcome.counts.created == 2
