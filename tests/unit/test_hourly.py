"""The limit of times an hour, by key."""

from __future__ import annotations

import pytest

from server import hourly
from server.hourly import HOUR_S, Hourly


def test_a_key_is_allowed_so_often_within_an_hour() -> None:
    limit = Hourly(2)
    assert [limit.allows("a", at) for at in (0.0, 1.0, 2.0, HOUR_S - 1)] == [True, True, False, False]
    assert limit.allows("b", 2.0)
    assert [limit.allows("a", at) for at in (HOUR_S, HOUR_S + 0.5, HOUR_S + 1)] == [True, False, True]


def test_a_full_table_drops_the_key_counted_longest_ago_and_refuses_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hourly, "KEYS_MOST", 3)
    limit = Hourly(2)
    assert all(limit.allows(key, 0.0) for key in "abca")
    assert limit.allows("d", 0.0)
    assert [limit.has_room(key, 0.0) for key in "ab"] == [False, True]
    assert limit.allows("b", 0.0)
    assert limit.allows("b", 0.0)
    assert len(limit._done) == 3


def test_only_what_was_counted_takes_room() -> None:
    limit = Hourly(1)
    assert [limit.has_room("a", at) for at in (0.0, 1.0)] == [True, True]
    limit.count("a", 1.0)
    assert not limit.has_room("a", HOUR_S)
    assert limit.has_room("a", HOUR_S + 1)
