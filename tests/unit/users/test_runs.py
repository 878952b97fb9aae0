"""One record of the history covers a run of users."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.users.runs import LONGEST, runs_of

IDS = {
    "none": ([], []),
    "one": ([1], [(1, 0)]),
    "a run from the first id on": ([1, 2, 3], [(3, 2)]),
    "a gap": ([4, 5, 7, 8, 9], [(5, 1), (9, 2)]),
    "going back": ([6, 7, 5], [(7, 1), (5, 0)]),
    "the same run as often as it comes": ([2, 3, 2, 3], [(3, 1), (3, 1)]),
    "more than one record holds": (range(1, LONGEST + 3), [(LONGEST, LONGEST - 1), (LONGEST + 2, 1)]),
}


@pytest.mark.parametrize("what", IDS)
def test_a_run_ends_where_the_next_id_is_not_one_higher(what: str) -> None:
    ids, runs = IDS[what]
    assert list(runs_of(ids)) == runs


def each_of(runs: Iterable[tuple[int, int]]) -> list[int]:
    return [user_id for last, more in runs for user_id in range(last - more, last + 1)]


@given(st.lists(st.integers(1, 9)))
def test_runs_have_the_same_ids_in_the_same_order(ids: list[int]) -> None:
    assert each_of(runs_of(ids)) == ids
