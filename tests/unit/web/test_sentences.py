"""What a person is told of an import: one sentence, whatever became of it."""

from __future__ import annotations

from typing import Any

import pytest

from importer.model import APPLIED, Counts, FileFacts, Guard, GuardReason, ImportState
from importer.report import Report
from importer.said.grouping import without_place
from server.web.pages.sentences import and_, happened, sentence, undo_means

FILE = FileFacts("sync_users.csv", 1000)


def report(state: ImportState, *, dry_run: bool = False, guard: Guard | None = None, **facts: Any) -> Report:
    said = {name: facts.pop(name) for name in ("message", "decided_by") if name in facts}
    return Report(
        7, "acme", state, dry_run, FILE, "2026-03-01T12:00:00.000Z", counts=Counts(**facts), guard=guard, **said
    )


def held(*reasons: GuardReason, would_deactivate: int = 0, active: int = 400) -> Guard:
    return Guard(reasons, 10, active, would_deactivate)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"created": 12, "deactivated": 3, "updated": 40}, "12 people joined, 3 left and 40 changed."),
        ({"created": 1}, "1 person joined."),
        ({"deactivated": 1, "updated": 1}, "1 person left and 1 changed."),
        ({"reactivated": 2}, "2 people came back."),
        ({"updated": 1234567}, "1,234,567 people changed."),
    ],
)
def test_an_applied_import_says_who_came_and_went(counts: dict[str, int], told: str) -> None:
    assert sentence(report(ImportState.COMPLETED, **counts)) == told


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"created": 12, "rejected": 2}, "12 people joined; 2 rows were not taken."),
        ({"updated": 1, "rejected": 1}, "1 person changed; 1 row was not taken."),
        ({"rejected": 3, "unchanged": 9}, "Nobody was changed; 3 rows were not taken."),
    ],
)
def test_rejected_rows_are_told(counts: dict[str, int], told: str) -> None:
    assert sentence(report(ImportState.COMPLETED_WITH_ERRORS, **counts)) == told


def test_nothing_to_change_is_told_as_good_news() -> None:
    told = sentence(report(ImportState.UNCHANGED, unchanged=400))
    assert told == "Everybody is as the file says: nothing had to be changed."


@pytest.mark.parametrize(
    ("state", "counts", "told"),
    [
        (ImportState.COMPLETED, {"created": 2, "updated": 1}, "2 people would join and 1 would change."),
        (
            ImportState.COMPLETED_WITH_ERRORS,
            {"updated": 1, "rejected": 2},
            "1 person would change; 2 rows would not be taken.",
        ),
        (ImportState.COMPLETED_WITH_ERRORS, {"rejected": 1}, "Nobody would be changed; 1 row would not be taken."),
        (ImportState.UNCHANGED, {}, "Everybody is as the file says: nothing would have to be changed."),
        (ImportState.QUEUED, {}, "This file waits for its turn to be tried."),
        (ImportState.RUNNING, {}, "This file is being tried."),
    ],
)
def test_a_dry_run_says_what_would_happen(state: ImportState, counts: dict[str, int], told: str) -> None:
    assert sentence(report(state, dry_run=True, **counts)) == told


@pytest.mark.parametrize(
    ("guard", "counts", "told"),
    [
        (
            held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=120),
            {"deactivated": 120},
            "This file would deactivate 120 of 400 people, so it waits for you.",
        ),
        (
            held(GuardReason.TOO_MANY_CREATIONS),
            {"created": 300, "reactivated": 1},
            "This file would add 301 people, so it waits for you.",
        ),
        (
            held(GuardReason.TOO_MANY_UPDATES),
            {"updated": 350},
            "This file would change 350 people, so it waits for you.",
        ),
        (
            held(GuardReason.TOO_MANY_CREATIONS, GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=90),
            {"created": 1, "deactivated": 90},
            "This file would add 1 person and deactivate 90 of 400 people, so it waits for you.",
        ),
        (
            held(GuardReason.POSSIBLY_TRUNCATED, would_deactivate=3),
            {"deactivated": 3},
            "This file may have been cut short, and would deactivate 3 of 400 people, so it waits for you.",
        ),
        (
            held(GuardReason.IDENTIFIERS_CHANGED, would_deactivate=3),
            {"deactivated": 3},
            "This file would deactivate 3 of 400 people and may add some of them again, so it waits for you.",
        ),
        (
            held(would_deactivate=1, active=1),
            {"deactivated": 1},
            "This file would deactivate 1 of 1 person, so it waits for you.",
        ),
    ],
)
def test_a_held_import_says_what_it_would_do_and_whom_it_waits_for(
    guard: Guard, counts: dict[str, int], told: str
) -> None:
    assert sentence(report(ImportState.HELD, guard=guard, **counts)) == told


def test_whoever_may_only_look_is_told_who_decides() -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=120)
    told = sentence(report(ImportState.HELD, guard=guard), decides=False)
    assert told == "This file would deactivate 120 of 400 people, so it waits for an owner to decide."


def test_a_dry_run_waits_for_nobody() -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=120)
    told = sentence(report(ImportState.HELD, dry_run=True, guard=guard))
    assert told == "This file would deactivate 120 of 400 people: sent for real, it would be held."


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("line 17: There is a NUL character.", "Nothing was changed. Line 17: There is a NUL character."),
        (
            "Every row was rejected; nothing was changed. Fix them.",
            "Every row was rejected; nothing was changed. Fix them.",
        ),
        (None, "Nothing was changed."),
    ],
)
def test_a_failed_import_says_first_that_nothing_was_changed(message: str | None, told: str) -> None:
    assert sentence(report(ImportState.FAILED, message=message)) == told


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (ImportState.QUEUED, "This file waits for its turn."),
        (ImportState.ARRIVING, "This file waits for its turn."),
        (ImportState.RUNNING, "This file is being imported."),
    ],
)
def test_what_has_not_ended_says_where_it_is(state: ImportState, told: str) -> None:
    assert sentence(report(state)) == told


def test_what_has_to_wait_longer_says_why() -> None:
    told = sentence(report(ImportState.QUEUED, message="the disk is full; tried again soon."))
    assert told == "This file waits for its turn. The disk is full; tried again soon."


def test_an_undo_under_way_is_told() -> None:
    assert sentence(report(ImportState.QUEUED), undoing=True) == "This import is about to be undone."
    assert sentence(report(ImportState.RUNNING, updated=3), undoing=True) == "This import is being undone."


@pytest.mark.parametrize(
    "state", [ImportState.SUPERSEDED, ImportState.UNDONE, ImportState.ABORTED, ImportState.IGNORED]
)
def test_what_has_a_message_of_its_own_says_that(state: ImportState) -> None:
    assert sentence(report(state, message="What there is to say.", created=3)) == "What there is to say."


def test_an_undo_that_could_not_be_done_does_not_hide_what_the_import_did() -> None:
    told = sentence(report(ImportState.COMPLETED, message="It could not be undone: no.", created=2))
    assert told == "It could not be undone: no. 2 people joined."


@pytest.mark.parametrize("state", sorted(APPLIED))
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_must_be_looked_at_comes_before_what_happened(state: ImportState, dry_run: bool) -> None:
    told = sentence(report(state, dry_run=dry_run, message="Look at this first: names may be garbled.", updated=19))
    assert told.startswith("Look at this first: names may be garbled. 19 people ")


def test_who_discarded_it_is_told() -> None:
    told = sentence(report(ImportState.DISCARDED, decided_by="Ann (owner, token 3)"))
    assert told == "Discarded by Ann (owner, token 3); nothing was changed."


@pytest.mark.parametrize("state", ImportState)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("undoing", [False, True])
def test_every_state_has_a_whole_sentence(state: ImportState, dry_run: bool, undoing: bool) -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=9)
    told = sentence(report(state, dry_run=dry_run, guard=guard, deactivated=9), undoing=undoing)
    assert told[0].isupper() or told[0].isdigit()
    assert told.endswith(".")


def test_only_what_has_had_its_effect_is_told_as_done() -> None:
    for state in ImportState:
        told = sentence(report(state, created=3, message="Something."))
        assert ("3 people joined" in told) == (state in APPLIED)


def test_what_undo_means_is_told_before() -> None:
    means = undo_means(Counts(created=12, deactivated=1, updated=40, reactivated=2))
    assert means == (
        "12 people who joined with it lose access, 1 person who left gets access again and 42 people are as before."
        " What was changed since stays as it is, and is listed."
    )
    assert undo_means(Counts(updated=1)).startswith("1 person is as before.")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("email “x: y”: this is not valid.", "This is not valid."),
        ("email: the cell is blank.", "The cell is blank."),
        ("The email is somebody else's.", "The email is somebody else's."),
    ],
)
def test_a_message_beside_its_column_and_value_does_not_repeat_them(message: str, told: str) -> None:
    assert without_place({"column": "email", "value": "x: y", "message": message}) == told


def test_lists_read_like_speech() -> None:
    assert [and_(), and_("a"), and_("a", "b"), and_("a", "b", "c")] == ["", "a", "a and b", "a, b and c"]
    assert happened(Counts(unchanged=5)) == ""
