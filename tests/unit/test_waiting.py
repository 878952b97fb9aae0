"""The helper with which all other tests wait."""

from __future__ import annotations

import pytest

from tests.support.waiting import eventually, wait_until


async def test_eventually_returns_the_first_true_answer() -> None:
    answers = iter(["", None, "there"])

    async def ask() -> str | None:
        return next(answers)

    assert await eventually(ask) == "there"


def test_waiting_returns_the_first_true_answer() -> None:
    answers = iter([0, 0, 7])
    assert wait_until(lambda: next(answers)) == 7


async def test_a_wait_in_vain_names_its_subject_and_the_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"waiting for the import after 0.01 s; the last answer was \[\]"):
        await eventually(list, 0.01, "the import")
    with pytest.raises(AssertionError, match=r"waiting for the import after 0.01 s; the last answer was None"):
        wait_until(lambda: None, 0.01, "the import")
