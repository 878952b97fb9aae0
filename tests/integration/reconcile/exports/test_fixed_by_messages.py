"""Exports that are broken in one or two ways: the messages are enough to fix each.

A person who follows the messages exactly gets the list of `broken.py` again; its import makes the users right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from importer.messages.grouping import grouped_problems
from importer.model import ImportState
from importer.requests import Approval
from tests.integration.reconcile.exports.broken import (
    BROKEN_CELL,
    CASES,
    FRENCH,
    GERMAN,
    HEADER,
    LIST,
    NOTE,
    SHORT,
    SWAPPED,
    SWAPPED_ROWS,
    TITLES,
    WITHOUT_TITLE,
    Said,
    column,
    day_first,
    line,
    lines,
    on,
    semicolons,
    turned,
    with_names,
)
from tests.support.importing import Company, codes
from tests.support.installation import company_in

WHOLE: dict[str, Any] = {"deactivate_missing": True}
IDS = [case[0].replace(" ", "-") for case in CASES]

DEACTIVATES = "an address shared by two"
"""The one whose address is not in the file any more is absent, until the words are followed."""


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    """A company that has imported its list, so that the effect of a broken file shows."""
    found = company_in(tmp_path)
    await found.run(LIST.encode(), **WHOLE)
    return found


def as_file(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


async def active_users(company: Company) -> list[dict[str, Any]]:
    """Return the active users by address, without times."""
    times = ("created_at", "updated_at", "deactivated_at")
    users = sorted((await company.users()).items())
    return [
        {name: value for name, value in user.items() if name not in times}
        for _, user in users
        if user["state"] == "active"
    ]


@pytest.mark.parametrize(("name", "broken", "said", "first"), CASES, ids=IDS)
async def test_a_broken_export_is_fixed_by_following_its_messages(
    company: Company, name: str, broken: str | bytes, said: Said, first: str
) -> None:
    before = await active_users(company)
    outcome = await company.run(as_file(broken), **WHOLE)
    assert {*codes(outcome)} == {*said}
    assert (outcome.message or outcome.messages[0].message).startswith(first)
    if outcome.state is not ImportState.HELD:
        assert outcome.counts.deactivated == (name == DEACTIVATES)
    repaired = await company.run(LIST.encode(), **WHOLE)
    assert {*codes(repaired)} <= {"possibly_truncated"}  # the list is shorter than two lists were
    assert repaired.counts.rejected == 0
    assert await active_users(company) == before


@pytest.mark.parametrize(("name", "broken", "said", "first"), CASES, ids=IDS)
async def test_a_cause_is_reported_once_for_any_number_of_rows(
    company: Company, name: str, broken: str | bytes, said: Said, first: str
) -> None:
    outcome = await company.run(as_file(broken), **WHOLE)
    words_of_a_closed_column = 3 if "languages" in name else 0
    two_halves_of_a_row = int("two lines" in name)
    assert len(grouped_problems(outcome.messages)) == len(said) + words_of_a_closed_column + two_halves_of_a_row


@pytest.mark.parametrize(
    ("broken", "code", "advice"),
    [
        (LIST + NOTE, "missing_value", "If this is a title or a note, delete the row."),
        (SHORT, "ragged_row", "3 cells are missing at the end. Export every cell, blank ones too"),
        (BROKEN_CELL, "ragged_row", "If the row continues on the next line, remove the line end between the two."),
        (
            WITHOUT_TITLE,
            "ragged_row",
            "the header 10. Look for an extra or missing delimiter; put a cell that contains one",
        ),
        (line(6, lambda each: f'"{each[:-1]}"\n'), "ragged_row", "Remove the quotes around the line."),
        (
            line(6, semicolons),
            "ragged_row",
            "semicolons separate the cells of this row, and commas those of the header. Save all rows with",
        ),
        (
            column("last_name", on(6, "WeiÃ\x9f")),
            "control_character",
            "In the system that the file comes from, export it again",
        ),
        (
            column("manager", on(2, "", with_names)),
            "malformed_link",
            "Write the email address of the manager instead",
        ),
        (
            column("email", on(6, "jim@nord.test")),
            "perhaps_the_same_person",
            "write tom@nord.test in the file again: this keeps one user",
        ),
        (
            LIST.replace(HEADER, FRENCH),
            "missing_column",
            "Is “Prénom” meant as first_name? Is “Nom” meant as last_name? Is “Adresse e-mail” meant",
        ),
        (
            LIST.replace(HEADER, GERMAN),
            "missing_column",
            "Is “Vorname” meant as first_name? Is “Nachname” meant as last_name? Is “E-Mail” meant",
        ),
        (
            TITLES + LIST.replace(HEADER, GERMAN),
            "missing_column",
            "set skip_first_lines to 3. Is “Vorname” meant as first_name? Is “Nachname” meant",
        ),
        (
            semicolons(TITLES + LIST),
            "wrong_delimiter",
            "The header is on line 4, not on line 1 (“Nord GmbH”). Delete",
        ),
        (
            column("deactivate", turned),
            "most_rows_are_leavers",
            "the values in deactivate are reversed: write yes for a user who has left, and send the file again.",
        ),
        (
            lines(1, 6) + SWAPPED + SWAPPED_ROWS,
            "second_header",
            "Move the rows below line 7 under the columns of the first header, and delete line 7.",
        ),
    ],
)
async def test_the_message_names_what_to_change(company: Company, broken: str, code: str, advice: str) -> None:
    outcome = await company.run(broken.encode(), **WHOLE)
    problem = next(problem for problem in outcome.messages if problem.code == code)
    assert advice in problem.message


async def test_every_column_is_found_once_renamed_as_the_message_says(company: Company) -> None:
    renamed = GERMAN.replace("Vorname", "first_name").replace("Nachname", "last_name").replace("E-Mail", "email")
    outcome = await company.run(LIST.replace(HEADER, renamed).encode(), **WHOLE)
    hints = {
        problem.value: problem.message.partition("Did you mean ")[2].split("?")[0] for problem in outcome.messages
    }
    assert hints == {
        "Position": "job_title",
        "Vorgesetzter": "manager",
        "Abteilung": "primary_team",
        "Zeitzone": "time_zone",
        "Sprache": "language",
        "Eintrittsdatum": "hire_date",
        "Austritt": "",
    }
    assert "looks like the last day of users (leave_date)" in outcome.messages[-1].message


async def test_ambiguous_dates_are_grouped_with_dates_of_a_certain_form(company: Company) -> None:
    outcome = await company.run(column("hire_date", day_first).encode())
    (dates,) = [group for group in grouped_problems(outcome.messages) if group.code == "bad_date"]
    assert (dates.count, dates.named_lines) == (10, "2, 3, 4, 5, 6, …")
    assert "This seems to be day.month.year." in dates.message
    mixed = column("hire_date", on(3, "09/15/2014", day_first), column("hire_date", on(3, "2014-09-15")))
    outcome = await company.run(mixed.encode())
    assert len([group for group in grouped_problems(outcome.messages) if group.code == "bad_date"]) == 3


async def test_many_real_leavers_are_deactivated_once_approved(company: Company) -> None:
    leavers = column("deactivate", lambda cell, number: "yes" if number in (4, 6, 7, 9, 10, 11) else cell).encode()
    outcome = await company.run(leavers, **WHOLE)
    assert (outcome.state, codes(outcome)) == (ImportState.HELD, ["most_rows_are_leavers"])
    assert outcome.guard is not None
    listed = frozenset(each["user_id"] for each in company.touched())
    approval = Approval("operator", "2026-01-01T12:00:00Z", outcome.guard.reasons, listed)
    approved = await company.run(leavers, **WHOLE, approval=approval)
    assert approved.counts.deactivated == 6
    names = [user["first_name"] for user in await active_users(company)]
    assert names == ["Inês", "Jonas", "Lena", "Marta"]


BADGE: dict[str, Any] = {"custom_fields": [{"key": "badge"}], **WHOLE}
BY_BADGE: dict[str, Any] = {**BADGE, "identifier": "badge"}


def with_badges(text: str = LIST, badge: Callable[[int], str] = lambda number: f"00{number + 400}") -> bytes:
    header, *rows = text.splitlines()
    numbered = [f"{row},{badge(number)}" for number, row in enumerate(rows, 1)]
    return "\n".join([f"{header},badge", *numbered, ""]).encode()


async def test_a_change_of_domain_keeps_its_users_if_the_message_is_followed(company: Company) -> None:
    ids = await company.sql("SELECT id FROM users ORDER BY id")
    moved = LIST.replace("@nord.test", "@north.test")
    outcome = await company.run(moved.encode(), **WHOLE)
    assert (outcome.state, {*codes(outcome)}) == (
        ImportState.HELD,
        {"identifiers_changed", "perhaps_the_same_person"},
    )
    message = outcome.message or ""
    assert "send the previous addresses once more, with a column such as employee_id as a custom field" in message
    assert message.count("The domain of their addresses changed.") == 1
    assert "perhaps" not in message
    assert "may be incomplete" not in message
    await company.run(with_badges(), **BADGE)
    for number, custom in await company.sql("SELECT id, custom FROM users"):
        badge = json.loads(custom)["badge"]
        await company.sql("UPDATE users SET external_id = ? WHERE id = ?", (badge, number))
    outcome = await company.run(with_badges(moved), **BY_BADGE)
    assert (outcome.state, outcome.counts.updated) == (ImportState.COMPLETED, 10)
    assert await company.sql("SELECT id FROM users WHERE state = 'active' ORDER BY id") == ids


async def test_numbers_without_leading_zeros_are_fixed_by_exporting_as_text(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(with_badges(), **BY_BADGE)
    before = await active_users(company)
    outcome = await company.run(with_badges(badge=lambda number: str(number + 400)), **BY_BADGE)
    assert outcome.state is ImportState.HELD
    assert "Format that column as text and export the file again" in (outcome.message or "")
    assert "may be incomplete" not in (outcome.message or "")
    assert (await company.run(with_badges(), **BY_BADGE)).state is ImportState.UNCHANGED
    assert await active_users(company) == before


async def test_numbers_shortened_by_a_spreadsheet_are_fixed_by_exporting_as_text(company: Company) -> None:
    cut = column("job_title", on(4, "=TRIM(D4)"))
    outcome = await company.run(with_badges(cut, lambda number: "1.23E+05"), **BADGE)
    assert {*codes(outcome)} == {"formula", "mangled_number"}
    assert len(grouped_problems(outcome.messages)) == 2
    assert codes(await company.run(with_badges(), **BADGE)) == []
    users = await company.users()
    assert (users["zoe@nord.test"]["job_title"], users["zoe@nord.test"]["custom"]) == (
        "Account Manager",
        {"badge": "00403"},
    )
