"""The operator's overview of all tenants, from figures that are in memory: 200 tenants are as fast as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.tenants import Tenant
from ground.moments import Clock, utc_now
from importer.errors import DatabaseFault, ImporterError
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.pause import Pause
from server.tenants.feeds import Feed, feeds
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantRefused, read_settings
from server.tenants.tenants import Tenants
from server.upkeep.counting import Counting
from server.upkeep.disk import DiskUsage


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """The facts about one tenant.

    `newest` is its newest import that is not a dry run, without messages; None if there was none. `users` are counted
    by state; None: not counted yet, or, if `uncounted`, they cannot be counted. `disk_bytes` is the disk usage of its
    folder; None: not measured yet. `sessions` are open over SFTP now. `broken` says why the tenant cannot be used,
    and what to do. `pause` is the pause of its feed now; None: it is not paused, or its settings cannot be read.
    """

    tenant: Tenant
    newest: Entry | None
    feed: Feed
    users: Mapping[str, int] | None
    sessions: int
    disk_bytes: int | None
    broken: str | None = None
    uncounted: bool = False
    pause: Pause | None = None


class Overview:
    """Collects the facts about all tenants."""

    def __init__(
        self,
        tenants: Tenants,
        imports: Listing,
        counting: Counting,
        open_sessions: Callable[[], Mapping[str, int]],
        clock: Clock = utc_now,
        why_broken: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._tenants = tenants
        self._imports = imports
        self._counting = counting
        self._open_sessions = open_sessions
        self._clock = clock
        self._why_broken = why_broken
        self._disk = DiskUsage(tenants.home.bytes_of)

    async def tenants(self) -> list[TenantFacts]:
        """Return the facts about all tenants, by name."""
        found, figures = await self._counting.current_tenants(), self._counting.figures
        newest, successes = await self._imports.newest_of_all(), await self._imports.last_successes()
        stand = {feed.tenant: feed for feed in feeds(found, figures.all, successes, self._clock(), figures.pauses)}
        without = {one.name: Feed(one.name, successes.get(one.name), None, None) for one in found}
        disk = await self._disk.usage([tenant.name for tenant in found])
        paused = await self._tenants.home.perhaps_paused([tenant.name for tenant in found])
        pauses = await asyncio.to_thread(self._pauses, paused)
        sessions = self._open_sessions()
        return [
            TenantFacts(
                tenant=tenant,
                newest=newest.get(tenant.name),
                feed=stand.get(tenant.name, without[tenant.name]),
                users=known.users if (known := figures.of(tenant.name)) else None,
                sessions=sessions.get(tenant.name, 0),
                disk_bytes=disk.get(tenant.name),
                broken=self._why_broken(tenant.name),
                uncounted=tenant.name in figures.uncounted,
                pause=pauses.get(tenant.name),
            )
            for tenant in found
        ]

    def inviting(self) -> int:
        """Return how many tenants have invitations that wait to be sent, as of the last look."""
        return sum(figures.inviting for figures in self._counting.figures.all.values())

    def _pauses(self, names: Sequence[str]) -> dict[str, Pause]:
        """In a thread: return the pauses of those of these tenants that are paused now."""
        now, found = self._clock(), {}
        for name in names:
            with suppress(ImporterError, DatabaseFault, TenantRefused):
                if pause := pause_of(read_settings(self._tenants.users(name)), now):
                    found[name] = pause
        return found

    async def close(self) -> None:
        """End the measuring of disk usage."""
        await self._disk.close()
