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


def test_the_known_keys_are_bounded_and_old_ones_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hourly, "KEYS_MOST", 3)
    limit = Hourly(1)
    assert [limit.allows(key, 0.0) for key in "abcd"] == [True, True, True, False]
    assert limit.allows("d", HOUR_S)
