"""The sentence that says how an import ended, or what it is doing."""

from __future__ import annotations

from typing import Any

import pytest

from importer.messages.grouping import without_place
from importer.model import APPLIED, Counts, FileFacts, Guard, GuardReason, ImportState
from importer.report import Report
from server.web.pages.sentences import and_, approval_means, sending_means, sentence, summary, undo_means

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
        ({"created": 12, "deactivated": 3, "updated": 40}, "12 users created, 3 deactivated and 40 updated."),
        ({"created": 1}, "1 user created."),
        ({"deactivated": 1, "updated": 1}, "1 user deactivated and 1 updated."),
        ({"reactivated": 2}, "2 users reactivated."),
        ({"updated": 1234567}, "1,234,567 users updated."),
    ],
)
def test_an_applied_import_counts_created_deactivated_and_updated_users(counts: dict[str, int], told: str) -> None:
    assert sentence(report(ImportState.COMPLETED, **counts)) == told


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"created": 12, "rejected": 2}, "12 users created; 2 rows rejected."),
        ({"updated": 1, "rejected": 1}, "1 user updated; 1 row rejected."),
        ({"rejected": 3, "unchanged": 9}, "No users changed; 3 rows rejected."),
    ],
)
def test_rejected_rows_are_counted_after_the_users(counts: dict[str, int], told: str) -> None:
    assert sentence(report(ImportState.COMPLETED_WITH_ERRORS, **counts)) == told


def test_an_import_without_changes_says_no_users_changed() -> None:
    told = sentence(report(ImportState.UNCHANGED, unchanged=400))
    assert told == "No users changed."


@pytest.mark.parametrize(
    ("state", "counts", "told"),
    [
        (ImportState.COMPLETED, {"created": 2, "updated": 1}, "2 users would be created and 1 updated."),
        (
            ImportState.COMPLETED_WITH_ERRORS,
            {"updated": 1, "rejected": 2},
            "1 user would be updated; 2 rows would be rejected.",
        ),
        (ImportState.COMPLETED_WITH_ERRORS, {"rejected": 1}, "No users would change; 1 row would be rejected."),
        (ImportState.UNCHANGED, {}, "No users would change."),
        (ImportState.QUEUED, {}, "Queued for a dry run."),
        (ImportState.RUNNING, {}, "Dry run in progress."),
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
            "Held: this file would deactivate 120 of 400 active users. Approve or discard it.",
        ),
        (
            held(GuardReason.TOO_MANY_CREATIONS),
            {"created": 300, "reactivated": 1},
            "Held: this file would create or reactivate 301 users. Approve or discard it.",
        ),
        (
            held(GuardReason.TOO_MANY_UPDATES),
            {"updated": 350},
            "Held: this file would update 350 users. Approve or discard it.",
        ),
        (
            held(GuardReason.TOO_MANY_CREATIONS, GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=90),
            {"created": 1, "deactivated": 90},
            "Held: this file would create 1 user and deactivate 90 of 400 active users. Approve or discard it.",
        ),
        (
            held(GuardReason.POSSIBLY_TRUNCATED, would_deactivate=3),
            {"deactivated": 3},
            "Held: this file may be incomplete and would deactivate 3 of 400 active users. Approve or discard it.",
        ),
        (
            held(GuardReason.IDENTIFIERS_CHANGED, would_deactivate=3),
            {"deactivated": 3},
            (
                "Held: this file would deactivate 3 of 400 active users."
                " Some of them may be created again. Approve or discard it."
            ),
        ),
        (
            held(would_deactivate=1, active=1),
            {"deactivated": 1},
            "Held: this file would deactivate 1 of 1 active user. Approve or discard it.",
        ),
    ],
)
def test_a_held_import_says_what_it_would_do_and_asks_for_a_decision(
    guard: Guard, counts: dict[str, int], told: str
) -> None:
    assert sentence(report(ImportState.HELD, guard=guard, **counts)) == told


def test_a_viewer_reads_that_an_owner_must_decide() -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=120)
    told = sentence(report(ImportState.HELD, guard=guard), decides=False)
    assert told == ("Held: this file would deactivate 120 of 400 active users. An owner must approve or discard it.")


def test_a_held_dry_run_asks_for_no_decision() -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=120)
    told = sentence(report(ImportState.HELD, dry_run=True, guard=guard))
    assert told == "This file would deactivate 120 of 400 active users. A real import of it would be held."


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
        (ImportState.QUEUED, "Queued."),
        (ImportState.ARRIVING, "Queued."),
        (ImportState.RUNNING, "Import in progress."),
    ],
)
def test_an_import_that_has_not_ended_says_what_it_is_doing(state: ImportState, told: str) -> None:
    assert sentence(report(state)) == told


def test_a_delayed_import_says_why() -> None:
    told = sentence(report(ImportState.QUEUED, message="the disk is full; tried again soon."))
    assert told == "Queued. The disk is full; tried again soon."


def test_an_undo_that_is_queued_or_running_is_shown() -> None:
    assert sentence(report(ImportState.QUEUED), undoing=True) == "The undo is queued."
    assert sentence(report(ImportState.RUNNING, updated=3), undoing=True) == "Undo in progress."


@pytest.mark.parametrize(
    "state", [ImportState.SUPERSEDED, ImportState.UNDONE, ImportState.ABORTED, ImportState.IGNORED]
)
def test_a_state_with_its_own_message_shows_that_message(state: ImportState) -> None:
    assert sentence(report(state, message="The message.", created=3)) == "The message."


def test_a_failed_undo_does_not_hide_what_the_import_did() -> None:
    told = sentence(report(ImportState.COMPLETED, message="It could not be undone: no.", created=2))
    assert told == "It could not be undone: no. 2 users created."


@pytest.mark.parametrize("state", sorted(APPLIED))
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_warning_about_the_file_comes_before_the_counts(state: ImportState, dry_run: bool) -> None:
    told = sentence(report(state, dry_run=dry_run, message="Look at this first: names may be garbled.", updated=19))
    assert told.startswith("Look at this first: names may be garbled. 19 users ")


def test_a_discarded_import_says_who_discarded_it() -> None:
    told = sentence(report(ImportState.DISCARDED, decided_by="Ann (owner, token 3)"))
    assert told == "Discarded by Ann (owner, token 3); nothing was changed."


@pytest.mark.parametrize("state", ImportState)
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("undoing", [False, True])
def test_every_state_has_a_complete_sentence(state: ImportState, dry_run: bool, undoing: bool) -> None:
    guard = held(GuardReason.TOO_MANY_DEACTIVATIONS, would_deactivate=9)
    told = sentence(report(state, dry_run=dry_run, guard=guard, deactivated=9), undoing=undoing)
    assert told[0].isupper() or told[0].isdigit()
    assert told.endswith(".")


def test_only_an_applied_import_says_that_users_changed() -> None:
    for state in ImportState:
        told = sentence(report(state, created=3, message="Something."))
        assert ("3 users created" in told) == (state in APPLIED)


def test_the_effect_of_an_undo_is_shown_before_it() -> None:
    means = undo_means(Counts(created=12, deactivated=1, updated=40, reactivated=2))
    assert means == (
        "The undo deactivates 12 created users and 2 reactivated users, reactivates 1 deactivated user"
        " and sets back 40 updated users. A value that changed after this import stays and is listed."
    )
    assert undo_means(Counts(updated=1)).startswith("The undo sets back 1 updated user. ")
    assert undo_means(Counts(deactivated=2)).startswith("The undo reactivates 2 deactivated users. ")


def test_an_approval_says_how_many_users_it_changes_the_gravest_change_first() -> None:
    means = approval_means(Counts(created=2, deactivated=40, updated=1, reactivated=3))
    assert means == "The approval deactivates 40 users, creates 2 users, reactivates 3 users and updates 1 user."
    assert approval_means(Counts(updated=1200)) == "The approval updates 1,200 users."


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("email “x: y”: this is not valid.", "This is not valid."),
        ("email: the cell is blank.", "The cell is blank."),
        ("The email is already used.", "The email is already used."),
    ],
)
def test_a_message_beside_its_column_and_value_does_not_repeat_them(message: str, told: str) -> None:
    assert without_place({"column": "email", "value": "x: y", "message": message}) == told


def test_lists_are_joined_with_commas_and_and() -> None:
    assert [and_(), and_("a"), and_("a", "b"), and_("a", "b", "c")] == ["", "a", "a and b", "a, b and c"]
    assert summary(Counts(unchanged=5)) == ""


@pytest.mark.parametrize(
    ("state", "counts", "does"),
    [
        (ImportState.COMPLETED, {"created": 1}, "create 1 user"),
        (
            ImportState.COMPLETED_WITH_ERRORS,
            {"created": 1200, "updated": 2, "deactivated": 3, "reactivated": 1, "rejected": 4},
            "create 1,200 users, reactivate 1 user, deactivate 3 users and update 2 users",
        ),
        (ImportState.UNCHANGED, {"unchanged": 5}, "no users change"),
        (ImportState.HELD, {"deactivated": 15}, "its import will be held for your approval"),
    ],
)
def test_the_button_that_sends_a_tested_file_says_what_the_import_will_do(
    state: ImportState, counts: dict[str, int], does: str
) -> None:
    assert sending_means(report(state, dry_run=True, **counts)) == f"Send this file: {does}"
