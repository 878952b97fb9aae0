"""Exports as HR systems send them every night: their effect on users, and their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import GuardReason, ImportState
from tests.support.importing import HEADER, Company, codes, sheet
from tests.support.installation import company_in

WHOLE: dict[str, Any] = {"deactivate_missing": True}


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path)


def staff(*numbers: int, **columns: str) -> bytes:
    rows = [(f"F{number}", f"L{number}", f"u{number}@a.test", *columns.values()) for number in numbers]
    return sheet(*rows, header=(*HEADER, *columns))


async def test_a_byte_order_mark_is_not_part_of_a_quoted_header(company: Company) -> None:
    outcome = await company.run(b'\xef\xbb\xbf"first_name","last_name","email"\r\n"Ann","Lee","ann@a.test"\r\n')
    assert (outcome.state, outcome.counts.created, codes(outcome)) == (ImportState.COMPLETED, 1, [])


async def test_numbers_that_a_spreadsheet_shortened_to_the_same_text_are_reported(company: Company) -> None:
    rows = [("1.23E+05", "Ann", "Lee", "ann@a.test"), ("1.23E+05", "Bo", "Ng", "bo@a.test")]
    content = sheet(*rows, ("1.24E+05", "Cy", "Oh", "cy@a.test"), header=("employee_id", *HEADER))
    settings: dict[str, Any] = {"identifier": "employee_id", "custom_fields": [{"key": "employee_id"}], **WHOLE}
    outcome = await company.run(content, **settings)
    assert (outcome.counts.created, outcome.counts.rejected) == (2, 1)
    said = [(problem.line, problem.code) for problem in outcome.messages]
    assert sorted(said) == [(2, "mangled_number"), (3, "duplicate_identifier"), (4, "mangled_number")]


async def test_a_status_that_is_mapped_deactivates_and_one_that_is_not_rejects(company: Company) -> None:
    header = ("First Name", "Last Name", "Email", "Employment Status")
    settings: dict[str, Any] = {
        "field_mapping": {"First Name": "first_name", "Last Name": "last_name", "Employment Status": "deactivate"},
        "value_mapping": {"deactivate": {"Active": "no", "Terminated": "yes", "Leave": "no"}},
    }
    people = [("Ann", "Lee", "ann@a.test"), ("Bo", "Ng", "bo@a.test"), ("Cy", "Oh", "cy@a.test")]
    await company.run(sheet(*((*each, "Active") for each in people), header=header), **settings)
    words = ("terminated ", "Leave", "Pending")
    second = sheet(*((*each, word) for each, word in zip(people, words, strict=True)), header=header)
    outcome = await company.run(second, **settings)
    assert (outcome.counts.deactivated, outcome.counts.rejected) == (1, 1)
    assert [(problem.line, problem.code) for problem in outcome.messages if problem.line != 1] == [
        (4, "bad_deactivate")
    ]
    users = await company.users()
    assert {user["first_name"]: user["state"] for user in users.values()} == {
        "Ann": "deactivated",
        "Bo": "active",
        "Cy": "active",
    }


async def test_an_export_of_one_country_is_held_and_the_complete_list_is_applied(company: Company) -> None:
    all_users = range(100)
    await company.run(staff(*all_users), **WHOLE)
    country = range(89, 99)
    outcome = await company.run(staff(*(number for number in all_users if number not in country)), **WHOLE)
    assert (outcome.state, outcome.counts.deactivated) == (ImportState.COMPLETED, 10)
    outcome = await company.run(staff(*country), **WHOLE)
    assert (outcome.state, outcome.counts.deactivated) == (ImportState.HELD, 90)
    assert outcome.guard is not None
    assert GuardReason.TOO_MANY_DEACTIVATIONS in outcome.guard.reasons
    outcome = await company.run(staff(*all_users), **WHOLE)
    assert (outcome.state, outcome.counts.reactivated, outcome.active) == (ImportState.COMPLETED, 10, 100)


async def test_a_user_who_leaves_and_returns_keeps_one_record_and_history(company: Company) -> None:
    all_users = range(40)
    for turn in range(9):
        out = turn % 2
        await company.run(staff(*(number for number in all_users if number != 7 or not out)), **WHOLE)
    found = await company.sql(
        "SELECT c.import_id, c.field, c.new FROM changes AS c"
        " JOIN users AS u ON u.id BETWEEN c.user_id - c.more AND c.user_id"
        " WHERE u.email_key = 'u7@a.test' AND c.field IN ('created', 'state') ORDER BY c.import_id"
    )
    turns = [(2, "deactivated"), (3, "active"), (4, "deactivated"), (5, "active")]
    turns += [(6, "deactivated"), (7, "active"), (8, "deactivated"), (9, "active")]
    assert [(import_id, new) for import_id, field, new in found if field == "state"] == turns
    assert len(found) == 9
