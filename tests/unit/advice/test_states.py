"""The words that advice is certain of are those that warnings know."""

from __future__ import annotations

import pytest

from importer.advice.states import Meant, state_of
from importer.file.leavers import Tells
from importer.rules import left
from importer.rules.left import Says, said_by


@pytest.mark.parametrize(
    ("word", "meant", "says"),
    [
        *((word, Meant.LEFT, Says.LEFT) for word in sorted(left.SURELY_LEFT | left.LEFT_IF_NO_CLEARER)),
        *((word, Meant.STAYS, Says.STAYS) for word in sorted(left.SURELY_STAYS)),
    ],
)
def test_a_word_that_advice_is_certain_of_is_known_to_warnings(word: str, meant: Meant, says: Says) -> None:
    assert state_of(word, frozenset({word})) == (meant, "")
    assert said_by(Tells.STATUS, word, "2026-01-01", "%Y-%m-%d").says is says


@pytest.mark.parametrize("word", sorted(left.PERHAPS_LEFT | left.PERHAPS_STAYS | left.LEAVE))
def test_a_word_that_is_not_certain_is_left_to_a_person(word: str) -> None:
    assert state_of(word, frozenset({word}))[0] is Meant.OPEN


def test_a_word_that_may_be_a_leave_is_certain_only_without_a_clearer_one() -> None:
    assert state_of("Inactive", frozenset({"Inactive", "Active"}))[0] is Meant.LEFT
    assert state_of("Inactive", frozenset({"Inactive", "Terminated"}))[0] is Meant.OPEN
    assert state_of("Leave", frozenset({"Leave", "Terminated"}))[0] is Meant.STAYS
