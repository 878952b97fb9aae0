"""Waits that grow with every failure."""

from __future__ import annotations

import pytest

from ground.waits import Growing


def test_a_wait_doubles_with_every_failure_up_to_the_longest() -> None:
    waits = Growing(5, 60)
    assert [waits.after(failures) for failures in range(1, 7)] == [5, 10, 20, 40, 60, 60]


def test_a_first_wait_above_the_longest_is_the_longest() -> None:
    assert Growing(90, 60).after(1) == 60


@pytest.mark.parametrize(
    ("until", "over"),
    [
        (0, True),
        (999.9, True),
        (1000, True),
        (1000.1, False),
        (1060, False),
        (1060.1, True),
        (1000 + 7 * 86400, True),
    ],
)
def test_a_wait_is_over_at_its_moment_or_when_that_is_further_ahead_than_any_wait(until: float, over: bool) -> None:
    assert Growing(5, 60).over(until, now=1000) is over


@pytest.mark.parametrize("failures", [1_000, 1_000_000_000])
def test_no_number_of_failures_is_too_large(failures: int) -> None:
    assert Growing(0.25, 5).after(failures) == 5
