"""Stale feeds: no file was applied for the tenant's `stale_after_days`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.figures import Figures
from engine.tenants import Tenant
from ground.moments import from_rfc3339


@dataclass(frozen=True, slots=True)
class Feed:
    """When a file of `tenant` was last applied (RFC 3339; None: never), and whether that is too long ago.

    `stale` is None if `stale_after_days` is not set.
    """

    tenant: str
    last_applied_at: str | None
    stale_after_days: int | None
    stale: bool | None


def feed_of(tenant: Tenant, last_applied_at: str | None, stale_after_days: int | None, now: datetime) -> Feed:
    """Return the feed of `tenant` at `now`. If no file was ever applied, time counts from the tenant's creation."""
    if stale_after_days is None:
        return Feed(tenant.name, last_applied_at, None, None)
    since = from_rfc3339(last_applied_at or tenant.created_at)
    return Feed(tenant.name, last_applied_at, stale_after_days, now - since >= timedelta(days=stale_after_days))


def feeds(
    tenants: Iterable[Tenant], figures: Mapping[str, Figures], successes: Mapping[str, str], now: datetime
) -> list[Feed]:
    """Return the feeds of those `tenants` whose figures are known and that have a limit.

    `successes` are the ends of their newest applied imports, by tenant.
    """
    limits = ((tenant, figures[tenant.name].stale_after_days) for tenant in tenants if tenant.name in figures)
    return [feed_of(each, successes.get(each.name), days, now) for each, days in limits if days is not None]
