"""The limit after which a feed is stale."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.tenants import Tenant
from ground.moments import rfc3339
from server.tenants.feeds import feed_of

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
