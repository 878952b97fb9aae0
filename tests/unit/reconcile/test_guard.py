"""The guard, which holds imports, as a function of counts."""

from __future__ import annotations

import pytest

from importer.model import Counts, Guard, GuardReason, Written
from importer.reconcile.plan import (
    Completeness,
    LastApplied,
    guard_message,
    guard_reasons,
    reasons_of_truncation,
    why_held,
)
from importer.rules.settings import ImportSettings

DEACTIVATIONS = GuardReason.TOO_MANY_DEACTIVATIONS


def held(
    counts: Counts, active: int, truncated: bool = False, users: int | None = None, **settings: float
) -> list[str]:
    chosen = ImportSettings.model_validate(settings)
    return list(guard_reasons(counts, active, active if users is None else users, truncated, chosen))


@pytest.mark.parametrize(
    ("deactivated", "active", "expected"),
    [
        (10, 100, False),  # not more than 10 percent
        (11, 100, True),
        (5, 20, False),  # over the percentage, but not more than five
        (6, 20, True),
        (1, 1, False),  # more than half, but not two
        (2, 3, True),
        (2, 4, False),  # half is not more than half
        (0, 0, False),
    ],
)
def test_deactivations_over_limit_and_minimum_or_over_half_are_held(
    deactivated: int, active: int, expected: bool
) -> None:
    assert bool(held(Counts(deactivated=deactivated), active)) is expected


def test_more_than_half_is_held_whatever_the_minimum() -> None:
    assert held(Counts(deactivated=60), 100, max_deactivations_percent=99, max_deactivations_min=1000) == [
        DEACTIVATIONS
    ]


def test_a_hundred_percent_turns_the_limit_off() -> None:
    assert held(Counts(deactivated=100), 100, max_deactivations_percent=100) == []


def test_creations_and_reactivations_count_together() -> None:
    counts = Counts(created=6, reactivated=5)
    assert held(counts, 100) == []
    assert held(counts, 100, max_creations_percent=10) == ["too_many_creations"]
    assert held(Counts(created=10), 100, max_creations_percent=10) == []


def test_creations_have_no_limit_while_there_are_no_users() -> None:
    assert held(Counts(created=1000), 0, max_creations_percent=10) == []


def test_creations_are_limited_by_active_users_as_soon_as_there_are_users() -> None:
    assert held(Counts(created=6), 50, users=1000, max_creations_percent=10) == ["too_many_creations"]
    assert held(Counts(created=1), 0, users=3, max_creations_percent=10) == ["too_many_creations"]


def test_updates_are_held_over_their_percentage() -> None:
    assert held(Counts(updated=51), 100, max_updates_percent=50) == ["too_many_updates"]


def test_a_file_that_may_be_incomplete_is_held_only_if_absent_users_would_leave() -> None:
    assert held(Counts(deactivated=1, deactivated_absent=1), 100, truncated=True) == ["possibly_truncated"]
    assert held(Counts(deactivated=1), 100, truncated=True) == []


@pytest.mark.parametrize(
    ("deactivated", "active", "limit", "rule"),
    [
        (5, 8, 80, "5 of 8 active users (more than half)"),  # 62.5% is below the limit
        (5, 8, 10, "5 of 8 active users (more than half)"),  # up to max_deactivations_min the limit does not count
        (6, 20, 10, "6 of 20 active users (the limit is 10%)"),
        (10, 20, 12.5, "10 of 20 active users (the limit is 12.5%)"),  # half is not more than half
        (1200, 2000, 10, "1,200 of 2,000 active users (more than half)"),
    ],
)
def test_a_held_import_names_the_rule_on_deactivations_that_holds_it(
    deactivated: int, active: int, limit: float, rule: str
) -> None:
    counts, settings = Counts(deactivated=deactivated), ImportSettings(max_deactivations_percent=limit)
    reasons = tuple(guard_reasons(counts, active, active, False, settings))
    guard = Guard(reasons, limit, active, deactivated)
    assert reasons == (DEACTIVATIONS,)
    assert guard_message(why_held(guard, counts, settings, [])) == (
        f"Held, nothing was changed: it would deactivate {rule}. Review the users, then approve or discard."
    )


@pytest.mark.parametrize(("deactivated", "active", "limit"), [(6, 8, 100), (1, 20, 10), (1, 1, 100)])
def test_a_guard_names_no_rule_on_deactivations_that_does_not_hold_the_import(
    deactivated: int, active: int, limit: float
) -> None:
    assert Guard((DEACTIVATIONS,), limit, active, deactivated).deactivation_rule == ""


def test_a_held_import_names_the_limits_of_creations_and_updates() -> None:
    counts = Counts(created=6, reactivated=5, updated=51)
    settings = ImportSettings(max_creations_percent=10, max_updates_percent=50)
    guard = Guard(tuple(guard_reasons(counts, 100, 100, False, settings)), 10, 100, 0)
    assert guard_message(why_held(guard, counts, settings, []), dry_run=True) == (
        "Dry run: nothing was changed. Sent for real, the file would be held: "
        "it would create or reactivate 11 users (the limit is 10% of 100 active users). "
        "It would update 51 users (the limit is 50% of 100 active users)."
    )


def test_a_held_import_says_why_the_file_may_be_incomplete() -> None:
    counts, settings = Counts(deactivated=3, deactivated_absent=1), ImportSettings()
    facts = completeness(ends_with_newline=False, written=Written(2, 9, 9, True), rows=1, last_user_absent=True)
    truncation = reasons_of_truncation(facts, settings)
    guard = Guard(tuple(guard_reasons(counts, 100, 100, True, settings)), 10, 100, 3)
    assert guard_message(why_held(guard, counts, settings, truncation, others=True)) == (
        "Held, nothing was changed: it would deactivate a user who is not on the approved list. "
        "The file may be incomplete. Its last line has no line end. "
        "The upload ended with a full block, like an interrupted upload. "
        "It holds bytes from before this upload, like a resumed or appended file. "
        "The last active user of the previous applied file is not in it. "
        "It has 1 row, and the previous applied file had 100 (more than 20% fewer). "
        "The import would deactivate 1 user who is not in the file. Review the users, then approve or discard."
    )


COMPLETE = Completeness(True, Written(3, 100, 40, False), 100, LastApplied(100, 7), False)


def completeness(**other: object) -> Completeness:
    fields = {name: getattr(COMPLETE, name) for name in COMPLETE.__slots__}
    return Completeness(**{**fields, **other})


@pytest.mark.parametrize(
    ("facts", "suspicious"),
    [
        (COMPLETE, False),
        (completeness(ends_with_newline=False), True),
        (completeness(written=Written(2, 100, 100, False)), True),
        (completeness(written=Written(1, 100, 100, False)), False),
        (completeness(written=Written(3, 100, 40, True)), True),
        (completeness(written=None), False),
        (completeness(last_user_absent=True), True),
        (completeness(rows=80), False),
        (completeness(rows=79), True),
        (completeness(rows=1, last=None), False),
    ],
)
def test_the_signs_of_an_incomplete_file_are_found(facts: Completeness, suspicious: bool) -> None:
    assert bool(reasons_of_truncation(facts, ImportSettings())) is suspicious
    assert reasons_of_truncation(facts, ImportSettings(detect_truncation=False)) == []


def test_a_missing_last_line_end_is_not_suspicious_where_the_settings_allow_it() -> None:
    facts = completeness(ends_with_newline=False)
    assert reasons_of_truncation(facts, ImportSettings(require_final_newline=False)) == []


def test_exactly_as_many_fewer_rows_as_allowed_are_not_suspicious() -> None:
    facts = completeness(rows=55)
    assert reasons_of_truncation(facts, ImportSettings(max_row_drop_percent=45)) == []
