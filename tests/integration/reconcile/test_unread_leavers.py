"""An import reports first a column that tells who has left and that no setting reads."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importer.messages.spool import messages_in
from importer.model import ImportState, Outcome, Problem
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

ANN, BO, CY = (("Ann", "Lee", "ann@a.test"), ("Bo", "Ng", "bo@a.test"), ("Cy", "Oh", "cy@a.test"))
JUNE = datetime(2026, 6, 15, 12, tzinfo=UTC)
TRUSTING: dict[str, Any] = {"max_deactivations_percent": 100}


@pytest.fixture(params=[1, 2, 2000])
def company(tmp_path: Path, request: pytest.FixtureRequest) -> Company:
    return company_in(tmp_path, request.param)


def listed(column: str, *cells: str) -> bytes:
    rows = [(*who, cell) for who, cell in zip((ANN, BO, CY), cells, strict=False)]
    return sheet(*rows, header=(*HEADER, column))


def unread(outcome: Outcome) -> list[Problem]:
    return [said for said in outcome.messages if said.code == "unread_leavers"]


KINDS = [
    ("End Date", ("", "2022-12-31", "2027-12-31"), '{"End Date": "leave_date"}'),
    ("Termination Date", ("", "31.12.2022", "31.12.2027"), '{"Termination Date": "leave_date"}'),
    ("Austritt", ("", "30.06.2024", ""), '{"Austritt": "leave_date"}'),
    ("Fecha de baja", ("", "30/06/2024", ""), '{"Fecha de baja": "leave_date"}'),
    ("Employment Status", ("Active", "Terminated", "Pending"), '{"deactivate": {"Terminated": "yes"}}'),
    ("Employment Status Code", ("A", "T", "L"), '{"deactivate": {"T": "yes"}}'),
    ("Status", ("A", "I", ""), '{"deactivate": {"I": "yes"}}'),
    ("Statut", ("Actif", "Parti", ""), '{"deactivate": {"Parti": "yes"}}'),
    ("is_active", ("TRUE", "False", ""), '{"is_active": "active"}'),
    ("Aktiv", ("ja", "nein", ""), '{"active": {"nein": "no"}}'),
    ("Leaver", ("", "yes", "no"), '{"Leaver": "deactivate"}'),
    ("Terminated", ("", "2026-01-01", ""), '{"Terminated": "leave_date"}'),
]


@pytest.mark.parametrize(("column", "cells", "setting"), KINDS)
async def test_the_first_message_counts_the_leavers_of_an_unread_column(
    company: Company, column: str, cells: Sequence[str], setting: str
) -> None:
    file = listed(column, *cells)
    for run in range(3):
        outcome = await company.run(file, now=JUNE, dry_run=run == 0)
        first = outcome.messages[0]
        assert (first.code, first.severity, first.line, first.column) == ("unread_leavers", "warning", 3, column)
        assert f"Column “{column}” says that 1 user has left" in first.message
        assert setting in first.message
        kept, _ = messages_in(company.messages / f"{company.imports}.jsonl", limit=1)
        assert kept[0]["code"] == "unread_leavers"
        assert outcome.counts.warnings == 1  # and there is no other message about the column
    assert outcome.state is ImportState.UNCHANGED


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("End Date", ("", "2027-01-01", "9999-12-31")),
        ("Status", ("Active", "On Leave", "Pending")),
        ("Active", ("TRUE", "yes", "")),
        ("Employee Status", ("F", "T", "P")),
        ("Status", ("A", "I", "L")),
        ("Leaver", ("", "no", "0")),
        ("Leave End Date", ("2020-01-01", "2020-01-01", "")),
        ("_End Date", ("2020-01-01", "", "")),
    ],
)
async def test_a_column_without_leavers_gives_no_such_warning(
    company: Company, column: str, cells: Sequence[str]
) -> None:
    for _ in range(2):
        assert unread(await company.run(listed(column, *cells), now=JUNE)) == []


async def test_a_column_renamed_to_tell_who_has_left_is_reported(company: Company) -> None:
    cells = ("", "2022-12-31", "2027-12-31")
    for _ in range(2):
        assert not unread(await company.run(listed("Remark", *cells), now=JUNE))
    for _ in range(2):
        assert len(unread(await company.run(listed("End Date", *cells), now=JUNE))) == 1


async def test_the_warning_does_not_suggest_a_field_that_is_a_custom_field(company: Company) -> None:
    own = [{"key": key, "label": key, "type": "text"} for key in ("leave_date", "active")]
    for column, cell in (("End Date", "2022-12-31"), ("Is active", "no")):
        (said,) = unread(await company.run(listed(column, cell), custom_fields=own, now=JUNE))
        assert "field_mapping" not in said.message
        assert said.message.endswith("Fix the cells, or change the settings so that Headcount reads this column.")


async def test_a_column_ignored_on_purpose_gives_no_message(company: Company) -> None:
    outcome = await company.run(listed("Active", "FALSE", "TRUE", ""), field_mapping={"Active": ""})
    assert outcome.messages == ()


async def test_following_the_warning_deactivates_the_leavers(company: Company) -> None:
    file = listed("End Date", "", "2022-12-31", "2027-12-31")
    await company.run(file, now=JUNE)
    outcome = await company.run(file, now=JUNE, field_mapping={"End Date": "leave_date"}, **TRUSTING)
    assert (outcome.counts.deactivated, outcome.counts.unchanged + outcome.counts.updated) == (1, 2)
    assert outcome.messages == ()


async def test_a_day_that_passes_between_two_runs_of_a_file_is_counted(company: Company) -> None:
    file = listed("End Date", "", "2026-06-20", "2022-12-31")
    assert unread(await company.run(file, now=JUNE))[0].message.startswith(
        "Column “End Date” says that 1 user has left"
    )
    later = unread(await company.run(file, now=JUNE.replace(day=25)))
    assert later[0].message.startswith("Column “End Date” says that 2 users have left")


async def test_leavers_by_another_cell_and_rejected_rows_are_not_counted(company: Company) -> None:
    await company.run(people("ann"))
    rows = [(*ANN, "yes", "2020-01-01"), (*BO, "", "2020-01-01"), ("", "Oh", "cy@a.test", "", "2020-01-01")]
    outcome = await company.run(sheet(*rows, header=(*HEADER, "deactivate", "End Date")))
    (said,) = unread(outcome)
    assert (said.line, "1 user has left" in said.message) == (3, True)


async def test_a_last_day_before_the_hire_date_belongs_to_an_earlier_employment(company: Company) -> None:
    rows = [(*ANN, "2024-01-01", "2020-01-01"), (*BO, "2019-01-01", "2020-01-01")]
    for _ in range(2):
        (said,) = unread(await company.run(sheet(*rows, header=(*HEADER, "hire_date", "End Date"))))
        assert (said.line, "1 user has left" in said.message) == (3, True)


async def test_a_row_that_waits_for_an_address_and_is_rejected_is_not_counted(company: Company) -> None:
    own: dict[str, Any] = {"custom_fields": [{"key": "number"}], "identifier": "number"}
    header = (*HEADER, "number", "End Date")
    await company.run(sheet((*ANN, "1", ""), (*BO, "2", ""), header=header), **own)
    rows = [(*ANN, "1", ""), ("Bo", "Ng", "ann@a.test", "2", "2020-01-01")]
    outcome = await company.run(sheet(*rows, header=header), **own)
    assert (outcome.counts.rejected, unread(outcome)) == (1, [])


async def test_two_columns_are_reported_each_with_its_count(company: Company) -> None:
    rows = [(*ANN, "2020-01-01", "Inactive"), (*BO, "", "Terminated"), (*CY, "", "Active")]
    outcome = await company.run(sheet(*rows, header=(*HEADER, "End Date", "Status")))
    assert [said.column for said in outcome.messages[:2]] == ["Status", "End Date"]


async def test_new_users_in_a_file_with_an_unread_column_need_no_check_next_time(company: Company) -> None:
    rows = [(f"P{n}", "Q", f"p{n}@a.test", "2020-01-01" if n % 10 == 0 else "") for n in range(200)]
    for _ in range(2):
        (said,) = unread(await company.run(sheet(*rows, header=(*HEADER, "End Date"))))
        assert "20 users have left" in said.message
    ((settled,),) = await company.sql("SELECT users FROM before_lines")
    assert sum(map(bool, array("i", settled))) == 180


# The other messages about a whole file.


async def test_a_first_import_that_ignores_most_rows_as_leavers_says_so(company: Company) -> None:
    rows = [(f"F{n}", f"L{n}", f"u{n}@a.test", "FALSE" if n % 10 == 0 else "TRUE") for n in range(40)]
    file = sheet(*rows, header=(*HEADER, "Active"))
    outcome = await company.run(file, field_mapping={"Active": "deactivate"})
    assert (outcome.counts.created, outcome.counts.ignored) == (4, 36)
    assert outcome.messages[0].code == "most_rows_are_leavers"
    assert "36 of 40 rows" in outcome.messages[0].message
    again = await company.run(file, field_mapping={"Active": "deactivate"})
    assert "most_rows_are_leavers" not in codes(again)


ADMINS = (*HEADER, "role", "deactivate")


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("row", [(*ANN, "admin", "yes"), (*ANN, "learner", ""), (*ANN, "hr", "yes"), None])
async def test_an_import_that_leaves_no_active_admin_says_so(
    company: Company, dry_run: bool, row: tuple[str, ...] | None
) -> None:
    await company.run(sheet((*ANN, "admin", ""), (*BO, "hr", ""), (*CY, "", ""), header=ADMINS))
    rows = [*([row] if row else []), (*BO, "hr", ""), (*CY, "", "")]
    outcome = await company.run(
        sheet(*rows, header=ADMINS), dry_run=dry_run, deactivate_missing=True, detect_truncation=False
    )
    (said,) = [said for said in outcome.messages if said.code == "last_admin"]
    assert "ann@a.test" in said.message


async def test_a_held_import_that_leaves_no_active_admin_says_so(company: Company) -> None:
    await company.run(sheet((*ANN, "admin", ""), (*BO, "hr", ""), header=ADMINS))
    outcome = await company.run(sheet((*ANN, "admin", "yes"), (*BO, "hr", "yes"), header=ADMINS))
    assert outcome.state is ImportState.HELD
    assert "last_admin" in codes(outcome)


async def test_an_import_with_an_admin_left_or_none_before_says_nothing(company: Company) -> None:
    await company.run(sheet((*ANN, "admin", ""), (*BO, "", ""), (*CY, "", ""), header=ADMINS))
    taken_over = await company.run(sheet((*ANN, "", ""), (*BO, "admin", ""), header=ADMINS))
    assert "last_admin" not in codes(taken_over)
    assert "last_admin" in codes(await company.run(sheet((*BO, "", ""), header=ADMINS)))
    assert "last_admin" not in codes(await company.run(sheet((*BO, "", "yes"), header=ADMINS)))


@pytest.mark.parametrize(
    ("column", "target", "words", "says"),
    [
        ("Active", "deactivate", {}, True),
        ("Is Enabled", "deactivate", {}, True),
        ("Inactive", "active", {}, True),
        ("Active", "deactivate", {"deactivate": {"TRUE": "no", "FALSE": "yes"}}, False),
        ("Active", "active", {}, False),
        ("Leaver", "deactivate", {}, False),
    ],
)
async def test_a_column_that_is_read_as_its_opposite_is_reported(
    company: Company, column: str, target: str, words: dict[str, dict[str, str]], says: bool
) -> None:
    file = listed(column, "FALSE", "TRUE", "FALSE")
    outcome = await company.run(file, field_mapping={column: target}, value_mapping=words)
    assert ("reversed_flag" in codes(outcome)) is says


@pytest.mark.parametrize(("beside", "says"), [("Right", False), ("Site", True)])
async def test_a_column_read_correctly_as_active_is_not_reported_as_reversed(
    company: Company, beside: str, says: bool
) -> None:
    file = sheet((*ANN, "yes", "no"), (*BO, "yes", "no"), header=(*HEADER, "Left", beside))
    outcome = await company.run(file, field_mapping={"Left": "active"})
    assert ("reversed_flag" in codes(outcome)) is says


async def test_a_date_in_a_column_of_flags_names_the_field_that_reads_dates(company: Company) -> None:
    file = listed("Termination Date", "", "2022-12-31", "31.12.2027")
    outcome = await company.run(file, field_mapping={"Termination Date": "deactivate"})
    assert codes(outcome) == ["bad_deactivate", "bad_deactivate"]
    assert all("leave_date" in said.message for said in outcome.messages)


@pytest.mark.parametrize("status", ["deactivate", "Status", "Active"])
async def test_a_last_day_against_a_status_is_reported_and_not_counted_as_a_leaver(
    company: Company, status: str
) -> None:
    stays = {"deactivate": "no", "Status": "Active", "Active": "TRUE"}[status]
    file = sheet(*((*ANN, stays, "2022-12-31"), (*BO, stays, "")), header=(*HEADER, status, "Termination Date"))
    for _ in range(2):
        outcome = await company.run(file, now=JUNE)
        (told,) = unread(outcome)
        assert "1 user has left (line 2), but another column says the opposite" in told.message
        assert outcome.unread == 0
