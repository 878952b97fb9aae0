"""Messages about the whole file come first in every list, and are in the one-line message of the import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.messages import spool as spool_module
from importer.messages.spool import Spool, counted_in, messages_in
from importer.messages.whole_file import ABOUT_THE_FILE, LOOKED_AT, look_first
from importer.model import MESSAGES_IN_REPORT, ImportState, Outcome, Problem, Severity
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

BAD_ROWS = MESSAGES_IN_REPORT + 50
WHOLE: dict[str, Any] = {"deactivate_missing": True, "detect_truncation": False}


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return company_in(tmp_path, batch_rows=40)


def with_bad_rows(*rows: tuple[str, str, str]) -> bytes:
    """Return more rejected rows than a report has messages, and these rows."""
    return sheet(*((f"Bad{number}", "Smith", "nowhere") for number in range(BAD_ROWS)), *rows)


def kept(company: Company, limit: int = 100_000) -> list[dict[str, object]]:
    messages, _ = messages_in(company.messages / f"{company.imports}.jsonl", limit=limit)
    return messages


async def test_a_hundred_rejected_rows_do_not_hide_that_absent_users_stay(company: Company) -> None:
    await company.run(people("ann", "bob"))
    outcome = await company.run(with_bad_rows(("Ann", "Smith", "ann@example.com")), **WHOLE)
    assert codes(outcome) == ["absent_not_deactivated", *["invalid_email"] * (MESSAGES_IN_REPORT - 1)]
    assert [said["code"] for said in kept(company)] == ["absent_not_deactivated", *["invalid_email"] * BAD_ROWS]


async def test_a_hundred_rejected_rows_do_not_hide_that_names_are_garbled(company: Company) -> None:
    content = with_bad_rows(("Zoë", "Smith", "zoe@example.com"))
    outcome = await company.run(content, encoding="cp1252")
    assert codes(outcome)[:2] == ["perhaps_utf_8", "invalid_email"]
    assert kept(company)[0]["code"] == "perhaps_utf_8"


async def test_a_hundred_rejected_rows_do_not_hide_why_the_file_failed(company: Company) -> None:
    outcome = await company.run(with_bad_rows() + b'Ann,"Lee,ann@lee.test\n')
    assert outcome.state is ImportState.FAILED
    assert codes(outcome)[:2] == ["unterminated_quote", "invalid_email"]
    assert kept(company)[0]["code"] == "unterminated_quote"


async def test_messages_about_the_file_come_in_the_order_of_their_weight(company: Company) -> None:
    await company.run(people("ann", "bob"))
    content = sheet(
        ("Zoë", "Smith", "nowhere", ""), ("Ann", "Smith", "ann@example.com", ""), header=(*HEADER, "dept")
    )
    outcome = await company.run(content + b",,\n", encoding="cp1252", **WHOLE)
    assert codes(outcome)[:-1] == ["perhaps_utf_8", "absent_not_deactivated", "unknown_column", "blank_lines"]
    assert codes(outcome)[-1] == "invalid_email"
    assert outcome.counts.warnings == 3


async def test_rows_do_not_push_messages_about_the_file_out_of_the_stored_ones(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MESSAGES_KEPT", 20)
    await company.run(people("ann", "bob"))
    await company.run(with_bad_rows(("Ann", "Smith", "ann@example.com")), **WHOLE)
    counts = counted_in(company.messages / "2.jsonl")
    assert counts == {("warning", "absent_not_deactivated"): 1, ("error", "invalid_email"): 19}


async def test_an_import_that_ends_early_leaves_no_file_of_messages(tmp_path: Path) -> None:
    with Spool(tmp_path, 1) as spool:
        spool.say([Problem(Severity.ERROR, "invalid_email", "Write one.", 2)])
        spool.say([Problem(Severity.WARNING, "perhaps_utf_8", "Look.")])
    assert list(tmp_path.iterdir()) == []


async def test_messages_stay_in_the_folder_of_their_tenant_wherever_it_is_moved(tmp_path: Path) -> None:
    folder, moved = tmp_path / "messages", tmp_path / "removed"
    with Spool(folder, 1) as spool:
        folder.rename(moved)
        folder.mkdir()
        spool.say([Problem(Severity.ERROR, "invalid_email", "Write one.", 2)])
        spool.keep()
    assert ([each.name for each in moved.iterdir()], list(folder.iterdir())) == (["1.jsonl"], [])


async def test_messages_about_a_file_above_the_limit_follow_among_those_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "WHOLE_FILE_KEPT", 2)
    with Spool(tmp_path, 1) as spool:
        spool.say([Problem(Severity.ERROR, "invalid_email", "Write one.", 2)])
        spool.say(Problem(Severity.WARNING, "unknown_column", "It is unknown.", 1) for _ in range(3))
        spool.keep()
    messages, _ = messages_in(tmp_path / "1.jsonl")
    assert [said["code"] for said in messages] == [
        *("unknown_column", "unknown_column"),
        *("invalid_email", "unknown_column"),
    ]


# The message of the import.


async def garbled(company: Company, *, dry_run: bool = False) -> Outcome:
    await company.run(people("ann"))
    content = sheet(("Zoë", "Smith", "ann@example.com"))
    return await company.run(content, encoding="cp1252", dry_run=dry_run)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_import_that_garbles_names_says_so_in_its_message(company: Company, dry_run: bool) -> None:
    outcome = await garbled(company, dry_run=dry_run)
    assert outcome.state is ImportState.COMPLETED
    assert (outcome.message or "").startswith("Look at this first: Read as cp1252")


async def test_an_import_that_leaves_absent_users_active_says_so_in_its_message(company: Company) -> None:
    await company.run(people("ann", "bob"))
    content = sheet(("Ann", "Smith", "ann@example.com"), ("Bob", "Smith", ""))
    outcome = await company.run(content, deactivate_missing=True)
    assert outcome.state is ImportState.COMPLETED_WITH_ERRORS
    first = "Look at this first: Absent users were not deactivated: 1 rejected row does not identify a user (line 3)."
    assert (outcome.message or "").startswith(first)


async def test_a_held_import_says_what_to_look_at_before_the_decision(company: Company) -> None:
    await company.run(people(*(f"user{number}" for number in range(20))))
    content = sheet(("Zoë", "Smith", "user1@example.com"))
    outcome = await company.run(content, encoding="cp1252", deactivate_missing=True, detect_truncation=False)
    assert outcome.state is ImportState.HELD
    message = outcome.message or ""
    why = "it would deactivate 19 of 20 active users (more than half)."
    assert message.startswith(f"Held, nothing was changed: {why}")
    assert "Look at this before you decide: Read as cp1252" in message


async def test_an_import_without_such_a_message_has_no_message(company: Company) -> None:
    outcome = await company.run(people("ann", dept="Sales") + b",,\n")
    assert codes(outcome) == ["unknown_column", "blank_lines"]
    assert outcome.message is None


def test_the_most_serious_sentence_comes_first() -> None:
    said = [Problem(Severity.WARNING, code, f"About {code}.") for code in reversed(ABOUT_THE_FILE)]
    assert (look_first(said) or "").startswith("Look at this first: About unread_leavers.")


def test_a_message_has_the_most_serious_sentences_and_counts_the_others() -> None:
    said = [Problem(Severity.WARNING, "unread_leavers", f"Column {number}.") for number in range(LOOKED_AT + 2)]
    told = look_first(said) or ""
    assert "Column 0. Column 1. Column 2. (The report has 2 more messages like this.)" in told
