"""When a tenant's feed counts as stale: no file has been applied for as long as its settings allow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ground.moments import from_rfc3339
from importer.queue.listing import Listing
from server.tenants.settings import read_settings
from server.tenants.tenants import Tenant, Tenants

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Feed:
    """When the last file of `tenant` was applied (RFC 3339, None: never), and whether that is too long ago.

    `stale` is None where `stale_after_days` is not set.
    """

    tenant: str
    last_applied_at: str | None
    stale_after_days: int | None
    stale: bool | None


def feed_of(tenant: Tenant, last_applied_at: str | None, stale_after_days: int | None, now: datetime) -> Feed:
    """The feed of `tenant` as it stands `now`. Where nothing was ever applied, time counts from its making."""
    if stale_after_days is None:
        return Feed(tenant.name, last_applied_at, None, None)
    since = from_rfc3339(last_applied_at or tenant.created_at)
    return Feed(tenant.name, last_applied_at, stale_after_days, now - since >= timedelta(days=stale_after_days))


async def feeds(tenants: Tenants, imports: Listing, now: datetime) -> list[Feed]:
    """The feeds of all tenants, by name; one whose settings can't be read counts as one without a limit."""
    successes, found = await imports.last_successes(), await tenants.list()
    return await asyncio.to_thread(_feeds, tenants, found, successes, now)


def _feeds(tenants: Tenants, found: list[Tenant], successes: Mapping[str, str], now: datetime) -> list[Feed]:
    return [feed_of(one, successes.get(one.name), _limit_of(tenants, one.name), now) for one in found]


def _limit_of(tenants: Tenants, name: str) -> int | None:
    """Whoever needs the settings to go on says what is wrong with them; here it would be said every minute."""
    try:
        return read_settings(tenants.folder(name).users_db).stale_after_days
    except Exception:
        log.debug("The settings of %s can't be read.", name, exc_info=True)
        return None
