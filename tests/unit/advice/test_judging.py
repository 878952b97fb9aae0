"""Settings are suggested only if the result with them is not worse than without."""

from __future__ import annotations

from typing import Any

import pytest

from importer.advice.judging import Result, finds_the_same_users, is_as_good, is_better_without
from importer.model import Counts, ImportState

FAILED = Result(ImportState.FAILED, Counts())


def result(unread: int = 0, *, renamed: bool = False, **counts: Any) -> Result:
    return Result(ImportState.COMPLETED, Counts(**counts), unread, renamed)


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (result(created=3), FAILED),
        (result(rejected=1, created=2), FAILED),
        (result(created=3), result(created=3)),
        (result(created=2, ignored=1), result(1, created=3)),
        (result(unchanged=2, deactivated=1), result(1, unchanged=3)),
        (result(created=2, ignored=1), result(rejected=3)),
    ],
)
def test_settings_are_suggested_if_nothing_is_worse(after: Result, before: Result) -> None:
    assert is_as_good(after, before)


@pytest.mark.parametrize(
    ("after", "before"),
    [
        (FAILED, FAILED),
        (FAILED, result(created=3)),
        (result(1, created=3), FAILED),
        (result(created=2, rejected=1), result(created=3)),
        (result(created=4, ignored=36), result(4, created=40)),
        (result(2, created=3), result(1, created=3)),
        (result(deactivated=2, deactivated_absent=2, unchanged=1), result(unchanged=3)),
        (result(deactivated=3), result(1, unchanged=3)),
        (result(renamed=True, created=3), FAILED),
    ],
)
def test_settings_are_not_suggested_if_something_is_worse(after: Result, before: Result) -> None:
    assert not is_as_good(after, before)


def test_a_part_that_rejects_rows_is_left_out() -> None:
    assert is_better_without(result(created=3), result(created=2, rejected=1), FAILED)
    assert not is_better_without(result(created=2, rejected=1), result(created=3), FAILED)


def test_a_part_that_deactivates_leavers_or_prevents_failure_is_kept() -> None:
    assert not is_better_without(result(1, created=3), result(created=2, rejected=1), FAILED)
    assert not is_better_without(FAILED, result(1, created=3), FAILED)


def test_an_identifier_that_creates_no_user_instead_finds_the_same_users() -> None:
    assert finds_the_same_users(result(unchanged=3), result(unchanged=3))
    assert finds_the_same_users(result(unchanged=2, created=1), result(unchanged=2, rejected=1))


@pytest.mark.parametrize(
    "after",
    [
        result(unchanged=2, created=1),
        result(unchanged=2, reactivated=1),
        result(unchanged=2, rejected=1),
        result(unchanged=2, deactivated=1),
        FAILED,
    ],
)
def test_an_identifier_that_creates_or_loses_users_does_not_find_the_same(after: Result) -> None:
    assert not finds_the_same_users(after, result(unchanged=3))
