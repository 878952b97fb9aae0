"""Keeps the metrics true to the databases: restored at a start, renewed when imports end, looked at when asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from ground.moments import utc_now
from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.users.directory import Directory
from server.tenants.feeds import feeds
from server.tenants.tenants import Tenants, open_users
from server.trouble import tell
from server.upkeep.metrics import Metrics

log = logging.getLogger(__name__)


class Counting:
    """An `importer.worker.closing.Watcher`, and what /metrics shows."""

    def __init__(
        self, metrics: Metrics, tenants: Tenants, queue: Queue, broken: Callable[[], Collection[str]] = tuple
    ) -> None:
        """`broken` names the tenants that are: they are counted as one, and their users when they can be used."""
        self._metrics = metrics
        self._tenants = tenants
        self._queue = queue
        self._broken = broken
        self._counted: set[str] = set()
        self.users: dict[str, Mapping[str, int]] = {}
        """Users by state of each tenant that was met, as of the last import that changed some."""

    async def restore(self) -> None:
        """Know again what does not begin at zero with the process."""
        for tenant, finished_at in (await self._queue.last_successes()).items():
            self._metrics.succeeded(tenant, finished_at)
        await self.meet_tenants()

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Count an end. Counting is never a reason for anything to fail."""
        self._metrics.import_ended(entry, duration_s)
        if entry.state in APPLIED | {ImportState.UNDONE} and not entry.dry_run:
            await self._count_users(entry.tenant)
        if entry.state is ImportState.UNDONE:
            self._metrics.success_undone(entry.tenant, (await self._queue.last_successes()).get(entry.tenant))

    async def render(self) -> bytes:
        """The metrics as they are now, in Prometheus' text format."""
        await self.meet_tenants()
        for feed in await feeds(self._tenants, self._queue, utc_now()):
            self._metrics.feed(feed)
        self._metrics.broken.set(len(self._broken()))
        self._metrics.queue_length.set(await self._queue.queue_length())
        return self._metrics.render()

    async def meet_tenants(self) -> None:
        """Tenants come and go by the command line: `users` are those of the tenants there are."""
        names = {tenant.name for tenant in await self._tenants.list()}
        self._metrics.keep_only(names)
        self._counted &= names
        self.users = {name: users for name, users in self.users.items() if name in names}
        for name in names - self._counted - set(self._broken()):
            await self._count_users(name)

    async def _count_users(self, tenant: str) -> None:
        try:
            async with open_users(self._tenants.folder(tenant)) as db:
                self.users[tenant] = await Directory(db).count_by_state()
                self._metrics.count_users(tenant, self.users[tenant])
        except Exception as error:
            facts = {"event": "users_uncounted", "tenant": tenant}
            tell(log, f"The users of {tenant} cannot be counted", error, facts)
        self._counted.add(tenant)
