"""The weekly digest: its week, its first sentence, and what needs work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ground.moments import rfc3339
from importer.model import Counts, FileFacts, ImportState, Outcome
from importer.queue.entry import Entry
from server.notify.digest import ENDS, SHOWN, Week, digest_mail, week_before
from server.notify.layout import Body, Links, text_of
from server.notify.letters import DECIDE, HELD_ALREADY
from tests.support.sentences import assert_short

LINKS = Links("https://hr.example.com")
MONDAY = datetime(2026, 11, 23, 6, tzinfo=UTC)
WEEK = Week(MONDAY)
FILE = FileFacts("sync_users.csv", 1234)


def entry(number: int, state: ImportState, counts: Counts | None = None, **facts: Any) -> Entry:
    outcome = Outcome(state, counts, FILE) if counts else None
    times = {"uploaded_at": "2026-11-17T05:59:00.000Z", "finished_at": "2026-11-17T06:00:00.000Z", **facts}
    return Entry("acme", number, state, False, number, "/sync_users.csv", FILE, outcome=outcome, **times)


def digest(*ended: Entry, held: tuple[Entry, ...] = (), stale_days: int | None = None) -> Body:
    return digest_mail("acme", WEEK, ended, held, stale_days, LINKS)


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        (MONDAY, MONDAY),
        (MONDAY - timedelta(milliseconds=1), MONDAY - timedelta(days=7)),
        (MONDAY + timedelta(days=6, hours=23), MONDAY),
        (MONDAY + timedelta(days=7), MONDAY + timedelta(days=7)),
    ],
)
def test_a_week_ends_on_monday_at_6(now: datetime, ends: datetime) -> None:
    assert week_before(now).ends == ends


def test_a_week_has_the_real_imports_that_ended_in_it() -> None:
    def ended(at: datetime | None, *, dry_run: bool = False) -> bool:
        made = Entry("acme", 1, ImportState.COMPLETED, dry_run, 1, "", FILE, "", finished_at=at and rfc3339(at))
        return WEEK.has(made)

    begins, moment = MONDAY - timedelta(days=7), timedelta(milliseconds=1)
    assert [ended(begins - moment), ended(begins), ended(MONDAY - moment), ended(MONDAY)] == [
        False,
        True,
        True,
        False,
    ]
    assert not ended(None)
    assert not ended(begins, dry_run=True)


def test_a_week_without_files_is_one_sentence() -> None:
    mail = digest()
    assert mail.subject == "[Headcount] acme: week to 2026-11-23: nothing to do"
    assert mail.first == "In the week to 2026-11-23, no file of acme arrived, and there is nothing to do."
    assert mail.sections == ()


def test_a_digest_sums_up_what_was_applied_and_names_what_needs_work() -> None:
    done = entry(2, ImportState.COMPLETED, Counts(created=12, deactivated=3, unchanged=900))
    some = entry(3, ImportState.COMPLETED_WITH_ERRORS, Counts(created=1, updated=2, rejected=2))
    undone = entry(1, ImportState.UNDONE, Counts(deactivated=50))
    failed = entry(4, ImportState.FAILED, message="Column email is missing.")
    held = entry(
        5, ImportState.HELD, Counts(deactivated=70), message=f"{HELD_ALREADY}it would deactivate 70.{DECIDE}"
    )
    mail = digest(held, failed, some, done, undone, held=(held,), stale_days=3)
    needs = (
        "1 import needs a decision, 1 file must be sent again, 2 rejected rows must be fixed and "
        "the export must be checked"
    )
    assert mail.subject == f"[Headcount] acme: week to 2026-11-23: {needs}"
    assert mail.first == (
        f"In the week to 2026-11-23, 5 imports of acme ended, and {needs}: "
        "13 users created, 2 updated and 3 deactivated; 2 rows rejected."
    )
    page = "https://hr.example.com/tenants/acme/imports"
    assert text_of(mail).split("\n\n", 1)[1] == (
        f"See the imports:\n{page}\n\n"
        "Held until an owner approves or discards them:\n"
        f"- Import 5: 2026-11-17 06:00 UTC, it would deactivate 70.\n  {page}/5\n\n"
        "Failed, interrupted or ignored:\n"
        f"- Import 4: 2026-11-17 06:00 UTC, failed. Column email is missing.\n  {page}/4\n\n"
        "No file of acme was applied for 3 days. Check that the export runs and its uploads arrive.\n\n"
        "Imports, newest first:\n"
        f"- Import 5: 2026-11-17 06:00 UTC, held\n  {page}/5\n"
        f"- Import 4: 2026-11-17 06:00 UTC, failed\n  {page}/4\n"
        f"- Import 3: 2026-11-17 06:00 UTC, applied: 1 user created and 2 updated; 2 rows rejected\n  {page}/3\n"
        f"- Import 2: 2026-11-17 06:00 UTC, applied: 12 users created and 3 deactivated\n  {page}/2\n"
        f"- Import 1: 2026-11-17 06:00 UTC, undone\n  {page}/1\n\n"
        "Company: acme\n"
    )


def test_a_failure_before_an_applied_import_needs_nothing_more() -> None:
    failed, done = entry(1, ImportState.FAILED), entry(2, ImportState.COMPLETED, Counts(created=1))
    assert "and there is nothing to do: 1 user created." in digest(done, failed).first
    assert "and 1 file must be sent again:" in digest(entry(3, ImportState.ABORTED), done, failed).first


def test_a_digest_shows_a_limited_number_of_imports() -> None:
    many = [entry(number, ImportState.UNCHANGED, Counts()) for number in range(1200, 0, -1)]
    (section,) = digest(*many).sections
    assert section.text == "The newest 20 of 1,200 imports:"
    assert len(section.entries) == SHOWN


def test_every_end_of_an_import_has_words() -> None:
    under_way = {ImportState.ARRIVING, ImportState.QUEUED, ImportState.RUNNING}
    assert ENDS.keys() == set(ImportState) - under_way


def test_the_sentences_of_a_digest_are_short() -> None:
    every = [entry(number, state, Counts(created=1)) for number, state in enumerate(ENDS, start=1)]
    assert_short(text_of(digest(*every, stale_days=3)))
    assert_short(text_of(digest(stale_days=3)))
