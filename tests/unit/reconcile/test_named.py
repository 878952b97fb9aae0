"""Rows recorded at once for their users give the same as rows recorded one by one."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.reconcile import named as named_module
from importer.reconcile.named import Named


def lines_of_a_file(dice: random.Random, users: int) -> list[int]:
    """Return the users of lines: mostly sorted by id, with some left out, unknown, repeated or moved."""
    start = dice.randrange(users)
    found = list(range(1, users + 1))[start : start + dice.randrange(1, 200)]
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(found) + 1)
        match dice.randrange(3):
            case 0:
                found[at : at + 1] = [0]
            case 1:
                del found[at : at + dice.randrange(20)]
            case 2:
                found.insert(at, dice.randrange(users + 1))
    if dice.random() < 0.2:
        dice.shuffle(found)
    return found


@given(st.integers(0, 10**6))
def test_rows_recorded_at_once_give_the_same_as_one_by_one(seed: int) -> None:
    dice = random.Random(seed)
    users = dice.randrange(1, 400)
    left = {user for user in range(1, users + 1) if dice.random() < dice.choice((0, 0, 0.05))}
    named = Named(users)
    named.expect_known(left)
    marks: dict[int, int] = {}
    stood: dict[int, int] = {}
    line = 2
    for _ in range(dice.randrange(1, 4)):
        lines = lines_of_a_file(dice, users)
        fell = []
        for number, user in enumerate(lines, line):
            if user in marks:
                fell.append(number)
            elif user:
                marks[user], stood[number] = -number if user in left else number, user
        assert named.add_known(line, array("i", lines)) == fell
        line += len(lines) + dice.randrange(3)
    assert [named.mark_of(user) for user in range(1, users + 1)] == [
        marks.get(user, 0) for user in range(1, users + 1)
    ]
    assert {line: user for line, user in enumerate(named.settled_lines()) if user} == stood
    assert list(named.unnamed(users + 1)) == [user for user in range(1, users + 1) if user not in marks]


def test_users_are_read_in_pieces_and_none_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_module, "PIECE", 4)
    named = Named(10)
    for user in range(1, 11):
        named.mark(user, 20 - user)
    named.settle({user: user % 3 > 0 for user in range(1, 11)})
    settled = {line: user for line, user in enumerate(named.settled_lines()) if user}
    assert settled == {20 - user: user for user in range(1, 11) if user % 3}
    assert [named.last_but(left) for left in ([], [1, 2], range(1, 10), range(1, 11))] == [1, 3, 10, None]
