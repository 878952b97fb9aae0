"""The limit after which a feed is stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.tenants import Tenant
from ground.moments import rfc3339
from server.tenants.feeds import feed_of
from server.tenants.pauses import Span, spans

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LONG_AGO = rfc3339(NOW - timedelta(days=100))


@pytest.mark.parametrize(
    ("age", "stale"),
    [(timedelta(), False), (timedelta(days=2) - timedelta(seconds=1), False), (timedelta(days=2), True)],
)
def test_a_feed_is_stale_when_no_file_was_applied_for_so_many_days(age: timedelta, stale: bool) -> None:
    tenant = Tenant("acme", LONG_AGO, 7)
    assert feed_of(tenant, rfc3339(NOW - age), 2, NOW).stale is stale


def test_without_an_applied_file_time_counts_from_the_creation_of_the_tenant() -> None:
    assert feed_of(Tenant("acme", LONG_AGO, 0), None, 2, NOW).stale is True
    assert feed_of(Tenant("acme", rfc3339(NOW), 0), None, 2, NOW).stale is False


def test_a_feed_without_a_limit_is_never_stale() -> None:
    assert feed_of(Tenant("acme", LONG_AGO, 0), None, None, NOW).stale is None


DAY = timedelta(days=1)


def stale(applied: int, *pauses: Span, limit: int = 3) -> bool | None:
    """Return whether a feed is stale whose newest file was applied this many days ago."""
    return feed_of(Tenant("acme", LONG_AGO, 7), rfc3339(NOW - applied * DAY), limit, NOW, pauses).stale


def ago(begin: float, end: float) -> Span:
    return Span(NOW - begin * DAY, NOW - end * DAY)


def test_time_counts_anew_from_the_end_of_a_pause() -> None:
    assert stale(20, ago(19, 2)) is False
    assert stale(20, ago(19, 3)) is True
    assert stale(5, ago(4, 2.5), ago(2, 1)) is False
    assert stale(5, ago(30, 6)) is True, "a file was applied after the pause"


def test_a_feed_that_was_stale_before_a_pause_is_stale_after_it() -> None:
    assert stale(20, ago(17, 1)) is True
    assert stale(20, ago(17, -1)) is True


def test_a_pause_that_lasts_makes_no_feed_stale() -> None:
    feed = feed_of(Tenant("acme", LONG_AGO, 7), rfc3339(NOW - 20 * DAY), 3, NOW, [ago(19, -5)])
    assert (feed.stale, feed.paused) == (False, True)
    assert not feed_of(Tenant("acme", LONG_AGO, 7), rfc3339(NOW), 3, NOW, [ago(19, 0)]).paused


def change(at: float, until: float | None, key: str = "paused_until") -> dict[str, object]:
    """Return a change `at` days ago that pauses until this many days ago."""
    new = None if until is None else rfc3339(NOW - until * DAY)
    return {"key": key, "changed_at": rfc3339(NOW - at * DAY), "old": None, "new": new}


def test_the_pauses_of_a_feed_are_in_the_history_of_its_settings() -> None:
    assert spans([change(9, 1, "stale_after_days")]) == []
    assert spans([change(9, 5)]) == [ago(9, 5)]
    assert spans([change(7, None), change(9, 5)]) == [ago(9, 7)], "reset before its end"
    assert spans([change(3, None), change(9, 5)]) == [ago(9, 5)], "reset after its end"
    assert spans([change(7, 1), change(9, 5)]) == [ago(9, 1)], "prolonged"
    assert spans([change(3, 1), change(9, 5)]) == [ago(9, 5), ago(3, 1)], "set again after its end"
    assert spans([change(3, 2), change(5, None), change(7, -9), change(9, 6)]) == [ago(9, 5), ago(3, 2)]
