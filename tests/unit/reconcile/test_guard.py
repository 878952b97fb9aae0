"""When an import must not be applied unseen: the guard, as a function of counts."""

from __future__ import annotations

import pytest

from importer.model import Counts, GuardReason, Written
from importer.reconcile.plan import LastApplied, Wholeness, guard_reasons, reasons_of_truncation
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
def test_deactivations_are_held_over_the_percentage_and_the_minimum_or_over_half(
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


def test_there_is_no_limit_of_creations_while_there_are_no_users() -> None:
    assert held(Counts(created=1000), 0, max_creations_percent=10) == []


def test_creations_are_limited_by_active_users_as_soon_as_there_are_users() -> None:
    assert held(Counts(created=6), 50, users=1000, max_creations_percent=10) == ["too_many_creations"]
    assert held(Counts(created=1), 0, users=3, max_creations_percent=10) == ["too_many_creations"]


def test_updates_are_held_over_their_percentage() -> None:
    assert held(Counts(updated=51), 100, max_updates_percent=50) == ["too_many_updates"]


def test_a_file_that_may_be_cut_is_held_only_if_somebody_would_be_deactivated_for_being_absent() -> None:
    assert held(Counts(deactivated=1, deactivated_absent=1), 100, truncated=True) == ["possibly_truncated"]
    assert held(Counts(deactivated=1), 100, truncated=True) == []


WHOLE = Wholeness(True, Written(3, 100, 40, False), 100, LastApplied(100, 7), False)


def wholeness(**other: object) -> Wholeness:
    fields = {name: getattr(WHOLE, name) for name in WHOLE.__slots__}
    return Wholeness(**{**fields, **other})


@pytest.mark.parametrize(
    ("facts", "suspicious"),
    [
        (WHOLE, False),
        (wholeness(ends_with_newline=False), True),
        (wholeness(written=Written(2, 100, 100, False)), True),
        (wholeness(written=Written(1, 100, 100, False)), False),
        (wholeness(written=Written(3, 100, 40, True)), True),
        (wholeness(written=None), False),
        (wholeness(last_user_absent=True), True),
        (wholeness(rows=80), False),
        (wholeness(rows=79), True),
        (wholeness(rows=1, last=None), False),
    ],
)
def test_what_speaks_for_a_file_that_is_not_whole(facts: Wholeness, suspicious: bool) -> None:
    assert bool(reasons_of_truncation(facts, ImportSettings())) is suspicious
    assert reasons_of_truncation(facts, ImportSettings(detect_truncation=False)) == []


def test_a_missing_last_line_end_is_not_suspicious_where_the_settings_allow_it() -> None:
    facts = wholeness(ends_with_newline=False)
    assert reasons_of_truncation(facts, ImportSettings(require_final_newline=False)) == []


def test_exactly_as_many_fewer_rows_as_allowed_are_not_suspicious() -> None:
    facts = wholeness(rows=55)
    assert reasons_of_truncation(facts, ImportSettings(max_row_drop_percent=45)) == []
