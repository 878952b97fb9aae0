"""A cut file, with every check for it turned off: the most that may go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import APPLIED, ImportState
from tests.support.importing import passing_folder, sheet
from tests.support.installation import company_in

UNGUARDED: dict[str, Any] = {
    "require_final_newline": False,
    "detect_truncation": False,
    "max_deactivations_percent": 100,
    "max_row_drop_percent": 100,
}
HEADER = ("email", "first_name", "last_name", "manager", "job_title")
ROWS = [
    ("ann@example.com", "Ann", "A", "", "Head"),
    ("bo@example.com", "Bo", "B", "ann@example.com", "Cook"),
    ("cy@example.com", "Cÿ", "C", "ann@example.com", 'Maître, "late" shift'),
    ("di@example.com", "Di", "D", "bo@example.com", "Ingénieure"),
]
SHOWN = ("first_name", "manager", "job_title", "state")


async def users_after(content: bytes, **settings: Any) -> tuple[ImportState, dict[str, tuple[Any, ...]]]:
    """Return the outcome of importing `content` after the whole file with other titles, and all users then."""
    with passing_folder() as folder:
        company = company_in(Path(folder))
        before = sheet(*((*row[:-1], "Before") for row in ROWS), header=HEADER)
        await company.run(before)
        outcome = await company.run(content, **UNGUARDED, **settings)
        users = await company.users()
        return outcome.state, {email: tuple(user[name] for name in SHOWN) for email, user in users.items()}


@pytest.mark.parametrize("complete_lists", [False, True])
async def test_a_cut_file_may_change_only_the_last_cell_of_its_last_row(complete_lists: bool) -> None:
    """A cut before the last cell leaves too few cells or an open quote, or ends between two rows."""
    content = sheet(*ROWS, header=HEADER)
    ends = [sheet(*ROWS[:count], header=HEADER) for count in range(len(ROWS) + 1)]
    _, whole = await users_after(content, deactivate_missing=complete_lists)
    _, untouched = await users_after(b"", deactivate_missing=complete_lists)
    applied = 0
    for cut in range(len(ends[-3]) + 1, len(content)):
        state, users = await users_after(content[:cut], deactivate_missing=complete_lists)
        if state not in APPLIED:
            assert users == untouched, f"cut after {cut} bytes"
            continue
        applied += 1
        begun = sum(len(end) < cut for end in ends[:-1])  # rows that are at least begun
        assert users.keys() == whole.keys(), f"cut after {cut} bytes"
        for row, (email, *_) in enumerate(ROWS, 1):
            found, right = users[email], whole[email]
            if row < begun:
                assert found == right, f"cut after {cut} bytes"
            elif row == begun:
                assert (found[:2], found[3]) == (right[:2], right[3]), f"cut after {cut} bytes"
                assert right[2].startswith(found[2] or ""), f"cut after {cut} bytes"
            else:
                assert found[3] == ("deactivated" if complete_lists else "active")
                assert found[2] == "Before"
    assert applied > len("Ingénieure"), "cuts in the last cell are applied: nothing shows them"


async def test_a_cut_identifier_in_the_last_cell_may_be_that_of_another_user(tmp_path: Path) -> None:
    """The only case in which a cut row changes another user: the reason that `require_final_newline` is on."""
    chosen: dict[str, Any] = {
        "identifier": "staff",
        "custom_fields": [{"key": "staff", "label": "Staff", "type": "text"}],
    }
    header = ("first_name", "last_name", "email", "staff")
    company = company_in(tmp_path)
    await company.run(
        sheet(("Ann", "A", "ann@example.com", "7"), ("Bo", "B", "bo@example.com", "71"), header=header), **chosen
    )
    cut = sheet(("Bob", "B", "bob@example.com", "71"), header=header)[:-2]
    guarded = await company.run(cut, **chosen)
    assert guarded.counts.rejected == 1
    assert (await company.users())["ann@example.com"]["first_name"] == "Ann"
    outcome = await company.run(cut, **chosen, **UNGUARDED)
    assert outcome.counts.updated == 1
    users = await company.users()
    assert (users["bob@example.com"]["custom"]["staff"], users["bob@example.com"]["first_name"]) == ("7", "Bob")
    assert users["bo@example.com"]["first_name"] == "Bo"
