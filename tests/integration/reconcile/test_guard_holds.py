"""Imports that are held, approved, dry runs or corrections: nothing is applied without a decision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from importer.model import GuardReason, ImportState, Outcome, Written
from importer.requests import Approval
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

TEN = [f"user{number}" for number in range(10)]
APPROVED_AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    company = company_in(tmp_path)
    await company.run(people(*TEN))
    return company


async def active(company: Company) -> int:
    return sum(user["state"] == "active" for user in (await company.users()).values())


def approval_of(company: Company, outcome: Outcome) -> Approval:
    """Return the approval of the import that was just held."""
    assert outcome.guard is not None
    listed = frozenset(entry["user_id"] for entry in company.touched() if entry["action"] == "deactivated")
    return Approval("operator", APPROVED_AT, outcome.guard.reasons, listed)


async def test_an_import_over_the_deactivation_limit_is_held_and_changes_no_user(company: Company) -> None:
    before = await company.sql("SELECT * FROM users")
    outcome = await company.run(people("user0", "new"), deactivate_missing=True, detect_truncation=False)
    assert outcome.state is ImportState.HELD
    assert outcome.guard is not None
    assert outcome.guard.reasons == (GuardReason.TOO_MANY_DEACTIVATIONS,)
    assert (outcome.guard.active, outcome.guard.would_deactivate) == (10, 9)
    assert "9 of 10" in (outcome.message or "")
    assert await company.sql("SELECT * FROM users") == before
    assert await company.sql("SELECT count(*) FROM applied") == [(1,)]


async def test_a_file_is_compared_with_the_last_applied_one_when_the_clock_steps_back(company: Company) -> None:
    """User9 is on the last row of the first file only, so the absent user is not the last one of the newest file."""
    settings: dict[str, Any] = {"deactivate_missing": True, "max_row_drop_percent": 100}
    yesterday = datetime(2025, 12, 31, tzinfo=UTC)
    await company.run(people("user9", *TEN[:9]), now=yesterday, **settings)
    outcome = await company.run(people(*TEN[:9]), now=yesterday, **settings)
    assert (outcome.state, outcome.counts.deactivated) == (ImportState.COMPLETED, 1)


async def test_a_held_import_lists_exactly_the_users_it_would_change(company: Company) -> None:
    content = people("user0", "new", job_title="Boss")
    await company.run(content, deactivate_missing=True, detect_truncation=False)
    touched = {entry["identifier"]: (entry["action"], entry["absent"]) for entry in company.touched()}
    leaving = {f"{name}@example.com": ("deactivated", True) for name in TEN[1:]}
    assert touched == {
        **leaving,
        "user0@example.com": ("updated", False),
        "new@example.com": ("created", False),
    }
    ids = {entry["email"]: entry["user_id"] for entry in company.touched()}
    assert (ids["user0@example.com"], ids["new@example.com"]) == (1, None), "no user has a new one's number yet"


async def test_the_list_of_a_held_import_tells_leavers_from_absent_users(company: Company) -> None:
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email_key = 'user9@example.com'")
    leaving = [("U", "S", f"{name}@example.com", "1") for name in TEN[:7]]
    back = ("U", "S", "user9@example.com", "")
    outcome = await company.run(sheet(*leaving, back, header=(*HEADER, "deactivate")), deactivate_missing=True)
    assert outcome.state is ImportState.HELD
    touched = {entry["identifier"].split("@")[0]: (entry["action"], entry["absent"]) for entry in company.touched()}
    assert touched == {
        **dict.fromkeys(TEN[:7], ("deactivated", False)),
        **dict.fromkeys(TEN[7:9], ("deactivated", True)),
        "user9": ("reactivated", False),
    }


async def test_creations_are_limited_once_there_are_users_even_deactivated_ones(
    tmp_path: Path, company: Company
) -> None:
    await company.sql("UPDATE users SET state = 'deactivated'")
    outcome = await company.run(people("new"), max_creations_percent=10)
    assert outcome.guard is not None
    assert outcome.guard.reasons == (GuardReason.TOO_MANY_CREATIONS,)
    (tmp_path / "empty").mkdir()
    first = company_in(tmp_path / "empty")
    assert (await first.run(people(*TEN), max_creations_percent=10)).counts.created == 10
    await first.undo()
    again = await first.run(people(*TEN), max_creations_percent=10)
    assert (again.state, again.counts.created) == (ImportState.COMPLETED, 10)


async def test_an_approved_import_is_applied(company: Company) -> None:
    content, settings = people("user0"), {"deactivate_missing": True}
    held = await company.run(content, **settings)
    outcome = await company.run(content, approval=approval_of(company, held), **settings)
    assert outcome.state is ImportState.COMPLETED
    assert await active(company) == 1


async def test_an_approval_deactivates_only_the_users_on_its_list(company: Company) -> None:
    content, settings = people("user0"), {"deactivate_missing": True}
    held = await company.run(content, **settings)
    approval = approval_of(company, held)
    await company.run(people("later"))
    again = await company.run(content, approval=approval, **settings)
    assert again.state is ImportState.HELD
    assert "it would deactivate a user who is not on the approved list" in (again.message or "")
    assert await active(company) == 11


async def test_an_approval_covers_no_other_user_though_its_reason_no_longer_holds(company: Company) -> None:
    content = people(*TEN[:4], "user9")
    held = await company.run(content, deactivate_missing=True, max_deactivations_min=0, detect_truncation=False)
    approval = approval_of(company, held)
    await company.run(people("later"))
    trusting: dict[str, Any] = {
        "deactivate_missing": True,
        "max_deactivations_percent": 100,
        "detect_truncation": False,
    }
    again = await company.run(content, approval=approval, **trusting)
    assert (again.state, await active(company)) == (ImportState.HELD, 11)
    assert again.guard is not None
    assert again.guard.reasons == (GuardReason.TOO_MANY_DEACTIVATIONS,), "held again, it still says why"
    outcome = await company.run(content, approval=approval_of(company, again), **trusting)
    assert (outcome.state, await active(company)) == (ImportState.COMPLETED, 5)


async def test_an_approved_import_is_held_again_for_another_reason(company: Company) -> None:
    content = people("user0")
    held = await company.run(content, deactivate_missing=True, detect_truncation=False)
    approval = approval_of(company, held)
    again = await company.run(content, approval=approval, deactivate_missing=True)
    assert again.guard is not None
    assert again.guard.reasons == (GuardReason.TOO_MANY_DEACTIVATIONS, GuardReason.POSSIBLY_TRUNCATED)
    outcome = await company.run(content, approval=approval_of(company, again), deactivate_missing=True)
    assert outcome.state is ImportState.COMPLETED


NINE = TEN[:8] + TEN[9:]  # the last user of the previous file is in it


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (people(*NINE).rstrip(b"\n"), None),
        (people(*NINE), Written(2, 4096, 4096, False)),
        (people(*NINE), Written(1, 10, 10, True)),
        (people(*TEN[:9]), None),
        (people(*TEN[3:]), None),
    ],
    ids=["no line end", "full last block", "resumed", "last person gone", "far fewer rows"],
)
async def test_a_file_that_may_be_incomplete_deactivates_no_absent_user(
    company: Company, content: bytes, written: Written | None
) -> None:
    outcome = await company.run(content, written=written, deactivate_missing=True, max_deactivations_percent=100)
    assert outcome.state is ImportState.HELD
    assert outcome.guard is not None
    assert outcome.guard.reasons == (GuardReason.POSSIBLY_TRUNCATED,)
    assert "possibly_truncated" not in codes(outcome), "the reason of the hold is not also a warning"
    assert await active(company) == 10


async def test_a_held_incomplete_file_counts_absent_users_without_leavers(company: Company) -> None:
    rows = [("U", "S", f"{name}@example.com", "1" if name in TEN[:3] else "") for name in NINE]
    content = sheet(*rows, header=(*HEADER, "deactivate"))
    outcome = await company.run(content, written=Written(2, 4096, 4096, False), deactivate_missing=True)
    assert (outcome.counts.deactivated, outcome.counts.deactivated_absent) == (4, 1)
    assert "The import would deactivate 1 user who is not in the file" in (outcome.message or "")


async def test_a_file_cut_at_any_byte_deactivates_no_absent_user(company: Company) -> None:
    whole = people(*TEN)
    for size in range(len(whole)):
        outcome = await company.run(
            whole[:size], dry_run=True, deactivate_missing=True, max_deactivations_percent=100
        )
        held_or_failed = outcome.state in (ImportState.HELD, ImportState.FAILED)
        assert held_or_failed or not outcome.counts.deactivated_absent, whole[:size]


async def test_a_file_that_may_be_incomplete_is_a_warning_if_no_user_is_absent(company: Company) -> None:
    outcome = await company.run(people(*TEN), written=Written(2, 4096, 4096, False), deactivate_missing=True)
    assert (outcome.state, codes(outcome)) == (ImportState.UNCHANGED, ["possibly_truncated"])
    assert outcome.counts.warnings == 1


async def test_the_user_on_the_last_row_is_remembered_though_the_row_was_unchanged(company: Company) -> None:
    rows = [(name.title(), "Smith", f"{name}@example.com") for name in TEN]
    rows[0] = ("Changed", "Smith", "user0@example.com")
    await company.run(sheet(*rows))
    outcome = await company.run(people(*TEN[:9]), deactivate_missing=True, max_row_drop_percent=100)
    assert outcome.guard is not None
    assert "The last active user of the previous applied file is not in it" in (outcome.message or "")


@pytest.mark.parametrize(
    "by_hand", ["UPDATE users SET state = 'deactivated' WHERE id = 10", "DELETE FROM users WHERE id = 10"]
)
async def test_a_last_user_removed_by_hand_is_not_a_sign_of_an_incomplete_file(
    company: Company, by_hand: str
) -> None:
    await company.sql(by_hand)
    outcome = await company.run(people(*TEN[:8]), deactivate_missing=True)
    assert (outcome.state, outcome.message, codes(outcome)) == (ImportState.COMPLETED, None, [])
    assert await active(company) == 8


async def test_a_leaver_on_the_last_row_does_not_hide_an_incomplete_next_file(company: Company) -> None:
    rows = [("U", "Smith", f"{name}@example.com", "") for name in TEN]
    leaver = ("U", "Smith", "user9@example.com", "1")
    header = (*HEADER, "deactivate")
    settings: dict[str, Any] = {"deactivate_missing": True, "max_row_drop_percent": 100}
    await company.run(sheet(*rows[:9], leaver, header=header), **settings)
    outcome = await company.run(sheet(*rows[:8], header=header), **settings)
    assert (outcome.state, await active(company)) == (ImportState.HELD, 9)


async def test_a_dry_run_that_would_be_held_asks_for_no_decision(company: Company) -> None:
    outcome = await company.run(people("user0"), dry_run=True, deactivate_missing=True)
    assert outcome.state is ImportState.HELD
    assert (outcome.message or "").startswith("Dry run: nothing was changed.")
    assert "approve" not in (outcome.message or "")


async def test_a_complete_file_without_one_of_ten_users_is_applied(company: Company) -> None:
    outcome = await company.run(people(*NINE), written=Written(2, 4096, 100, False), deactivate_missing=True)
    assert (outcome.state, outcome.counts.deactivated_absent) == (ImportState.COMPLETED, 1)


async def test_a_dry_run_shows_the_expected_result_and_changes_nothing(company: Company) -> None:
    before = await company.sql("SELECT * FROM users")
    content, settings = people(*NINE, "new", job_title="Boss"), {"deactivate_missing": True}
    tried = await company.run(content, dry_run=True, **settings)
    assert await company.sql("SELECT * FROM users") == before
    assert len(company.touched()) == 11
    applied = await company.run(content, **settings)
    assert (tried.state, tried.counts) == (applied.state, applied.counts)


async def test_a_correction_file_deactivates_no_absent_user(company: Company) -> None:
    header = ("first_name", "last_name", "email", "hire_date")
    rows = [("U", "S", f"{name}@example.com", "2020-01-01") for name in TEN]
    rows[3] = ("U", "S", "user3@example.com", "soon")
    await company.run(sheet(*rows, header=header), deactivate_missing=True)
    returned = company.errors_csv().decode("utf-8-sig")
    assert returned.splitlines()[0] == "_line,_code,_message,first_name,last_name,email,hire_date"
    assert returned.splitlines()[1].startswith("5,bad_date,")
    outcome = await company.run(returned.replace("soon", "2020-02-02").encode("utf-8-sig"), deactivate_missing=True)
    assert (outcome.state, codes(outcome)) == (ImportState.COMPLETED, [])
    assert (await company.users())["user3@example.com"]["hire_date"] == "2020-02-02"
    assert await active(company) == 10
    compared = await company.sql("SELECT compared FROM applied ORDER BY import_id DESC LIMIT 1")
    assert compared == [(0,)]
    cut = await company.run(people(*TEN[:6], "user9"), deactivate_missing=True, max_deactivations_percent=100)
    assert (cut.state, "10 (more than 20% fewer)" in (cut.message or "")) == (ImportState.HELD, True)


async def test_a_row_with_too_many_or_too_few_cells_keeps_them_in_errors_csv(company: Company) -> None:
    await company.run(b"first_name,last_name,email\nAnn,Smith,ann@example.com,what,else\nBen,B,b@example.com\nx,y\n")
    lines = company.errors_csv().decode("utf-8-sig").splitlines()
    assert lines[1].endswith(",Ann,Smith,ann@example.com,what,else")
    assert lines[2].endswith(",x,y")


async def test_a_row_with_too_few_cells_sent_again_unchanged_clears_nothing(company: Company) -> None:
    header = (*HEADER, "job_title", "=unknown()")
    baker = ("U", "S", "user0@example.com", "Baker", "x")
    await company.run(sheet(baker, header=header))
    await company.run(sheet(baker[:3], ("U", "S", "user1@example.com", "Baker", "x"), header=header))
    returned = company.errors_csv()
    assert b",job_title,'=unknown()" in returned
    assert (await company.run(returned)).state is ImportState.FAILED
    assert (await company.users())["user0@example.com"]["job_title"] == "Baker"


async def test_formula_cells_in_errors_csv_are_escaped_and_keep_their_meaning(company: Company) -> None:
    rows = [("Ann", "Smith", "ann@example.com", "=1+1", "soon"), ("Ben", "B", "ben@example.com", "'=2", "soon")]
    header = ("first_name", "last_name", "email", "job_title", "hire_date")
    await company.run(sheet(*rows, ("U", "S", "user0@example.com", "", ""), header=header))
    returned = company.errors_csv().decode("utf-8-sig")
    assert ",'=1+1," in returned
    assert ",'=2," in returned
    await company.run(returned.replace("soon", "").encode())
    users = await company.users()
    assert users["ann@example.com"]["job_title"] == "=1+1"
    assert users["ben@example.com"]["job_title"] == "=2"


async def test_updates_are_limited_if_a_limit_is_set(company: Company) -> None:
    outcome = await company.run(people(*TEN, job_title="Clerk"), max_updates_percent=10)
    assert outcome.guard is not None
    assert outcome.guard.reasons == (GuardReason.TOO_MANY_UPDATES,)
