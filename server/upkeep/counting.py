"""Keeps the metrics equal to the databases: restored at a start, updated when imports end, checked at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from engine.figures import Figures
from engine.nodes import ONLY_NODE, Node
from engine.tenants import Tenant
from ground.moments import utc_now
from importer.errors import DatabaseFault, ImporterError, TryAgain
from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from server.tenants.feeds import feeds
from server.tenants.figures import FigureBook
from server.tenants.tenants import Tenants
from server.upkeep.metrics import Metrics

WAIT_S = 0.2
"""The longest time in seconds that a scrape waits for figures that have to be read."""


class Counting:
    """An `importer.worker.closing.Watcher` that keeps the metrics, and renders /metrics."""

    def __init__(
        self,
        metrics: Metrics,
        tenants: Tenants,
        imports: Listing,
        broken: Callable[[], Collection[str]] = tuple,
        figures: FigureBook | None = None,
        node: Node = ONLY_NODE,
    ) -> None:
        """`imports` should wait for no write, or a scrape does.

        `broken` returns the names of the broken tenants. Their users are counted again once they are usable. Only
        the server that leads (`node`) counts facts about tenants.
        """
        self._node = node
        self.figures = figures or FigureBook(tenants, broken)
        self._metrics = metrics
        self._imports = imports
        self._broken = broken
        self._met: set[str] = set()
        self._shown: dict[str, Figures] = {}
        self._successes: dict[str, str] | None = None

    async def restore(self) -> None:
        """Restore the gauges that do not begin at zero with the process."""
        await self._restore_successes()
        await self.current_tenants()

    async def _restore_successes(self) -> None:
        self._successes = await self._imports.last_successes()
        self._metrics.last_success.keep_only(self._successes.__contains__)
        for tenant, finished_at in self._successes.items():
            self._metrics.succeeded(tenant, finished_at)

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Count the end of an import. A failure to count must not fail the import."""
        self._met = {*self._met, entry.tenant}
        self._metrics.import_ended(entry, duration_s)
        if entry.dry_run or entry.state not in APPLIED | {ImportState.UNDONE}:
            return
        with suppress(TryAgain):  # the next check tries again
            await self.figures.renew_one(entry.tenant)
        self._show([entry.tenant])
        if entry.state is ImportState.UNDONE:
            self._successes = await self._imports.last_successes()
            self._metrics.success_undone(entry.tenant, self._successes.get(entry.tenant))
        elif self._successes is not None and entry.finished_at:
            self._successes[entry.tenant] = entry.finished_at

    async def count(self) -> None:
        """Count anew. While the database cannot be read, nothing changes: the metrics of the parts show why."""
        with suppress(ImporterError, DatabaseFault):
            await self._count()

    async def _count(self) -> None:
        self._metrics.shows_tenants = self._node.leads()
        if self._metrics.shows_tenants:
            await self._count_tenants()
        self._metrics.broken.set(len(self._broken()))
        self._metrics.queue_length.set(await self._imports.queue_length())
        self._metrics.queue_postponed.set(await self._imports.postponed())

    async def _count_tenants(self) -> None:
        tenants = await self.current_tenants()
        if self._node.shares:
            await self._restore_successes()  # other servers' imports end, too
        elif self._successes is None:
            self._successes = await self._imports.last_successes()
        successes = self._successes or {}
        self._metrics.feeds(feeds(tenants, self.figures.all, successes, utc_now(), self.figures.pauses))
        self._metrics.held(await self._imports.held_since())

    async def current_tenants(self) -> list[Tenant]:
        """Adopt tenants and users that were changed by commands or SQL; return the tenants by name."""
        tenants = await self.figures.renew(WAIT_S, write=False)
        names = {tenant.name for tenant in tenants}
        if names != self._met:
            self._met = names
            self._metrics.keep_only(names)
            self._shown = {name: shown for name, shown in self._shown.items() if name in names}
        self._show(names)
        return tenants

    def _show(self, names: Iterable[str]) -> None:
        for name in names:
            figures = self.figures.of(name)
            if figures and self._shown.get(name) is not figures:
                self._shown[name] = figures
                self._metrics.count_users(name, figures.users)
