"""Stale feeds: no file was applied for the tenant's `stale_after_days`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.figures import Figures
from engine.tenants import Tenant
from ground.moments import from_rfc3339
from server.tenants.pauses import Span, counted_from


@dataclass(frozen=True, slots=True)
class Feed:
    """When a file of `tenant` was last applied (RFC 3339; None: never), and whether that is too long ago.

    `stale` is None if `stale_after_days` is not set. While the feed is `paused`, no notification is sent about it.
    """

    tenant: str
    last_applied_at: str | None
    stale_after_days: int | None
    stale: bool | None
    paused: bool = False


def feed_of(
    tenant: Tenant,
    last_applied_at: str | None,
    stale_after_days: int | None,
    now: datetime,
    pauses: Sequence[Span] = (),
) -> Feed:
    """Return the feed of `tenant` at `now`. If no file was ever applied, time counts from the tenant's creation.

    It counts from the end of a pause, if the feed was not stale when the pause began.
    """
    if stale_after_days is None:
        return Feed(tenant.name, last_applied_at, None, None)
    limit = timedelta(days=stale_after_days)
    since = counted_from(from_rfc3339(last_applied_at or tenant.created_at), limit, pauses, now)
    paused = any(each.lasts(now) for each in pauses)
    return Feed(tenant.name, last_applied_at, stale_after_days, now - since >= limit, paused)


def feeds(
    tenants: Iterable[Tenant],
    figures: Mapping[str, Figures],
    successes: Mapping[str, str],
    now: datetime,
    pauses: Mapping[str, Sequence[Span]],
) -> list[Feed]:
    """Return the feeds of those `tenants` whose figures are known and that have a limit.

    `successes` are the ends of their newest applied imports, and `pauses` their known pauses, by tenant.
    """
    limits = ((tenant, figures[tenant.name].stale_after_days) for tenant in tenants if tenant.name in figures)
    return [
        feed_of(each, successes.get(each.name), days, now, pauses.get(each.name, ()))
        for each, days in limits
        if days is not None
    ]
