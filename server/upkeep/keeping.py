"""Regular work of the server: delete expired data, and report stale feeds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Protocol

from engine.figures import Figures, Pruned
from engine.runs import Run
from engine.tenants import Tenant
from ground.moments import Clock, from_rfc3339, rfc3339
from ground.words import counted
from importer.errors import TryAgain
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.worker.pruning import Busy, prune, trim_copies
from server.rounds import again, led, rest_s, set_within
from server.tenants.feeds import Feed, feeds
from server.tenants.figures import FigureBook
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantRefused, TenantSettings
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.trouble import Trouble, tell
from server.upkeep.ending_pauses import EndingPauses, PauseNotifier
from server.upkeep.expired_runs import prune_runs

log = logging.getLogger(__name__)

PRUNE_S = 24 * 3600.0
PRUNE_AGAIN_S = 60.0
"""Seconds until the next try for a tenant that could not be pruned: it is broken, or one of its imports ran."""

REST = 9.0
"""The pause after each tenant, as a multiple of the time that it took: pruning uses a tenth of a core."""

LOOK_AT_FEEDS_S = 60.0

TIDY_S = 60.0
"""Seconds between two rounds that delete what nothing needs any more."""


class FeedNotifier(PauseNotifier, Protocol):
    """Sends the notification about a stale feed: once while it is stale, however often these are called."""

    async def notify_stale(self, feed: Feed) -> None: ...

    async def close_stale(self, feed: Feed) -> None: ...


class Keeper:
    """Prunes, and reports stale feeds, between `start()` and `stop()`: at the start, then in rounds.

    A round that fails is logged and repeated.
    """

    def __init__(
        self,
        tenants: Tenants,
        queue: Queue,
        clock: Clock,
        notifier: FeedNotifier | None = None,
        soundness: Soundness | None = None,
        figures: FigureBook | None = None,
    ) -> None:
        self.figures = figures or FigureBook(tenants)
        self._tenants = tenants
        self._queue = queue
        self._runs = tenants.store.runs()
        self._clock = clock
        self._notifier = notifier
        self._soundness = soundness
        self._pauses = EndingPauses(tenants, self.figures, queue, clock, notifier)
        self._known_stale: set[Feed] = set()
        self._notified: dict[str, tuple[Feed, str | None]] = {}
        self._trouble = Trouble(log, "The check for stale feeds failed", {"event": "feeds_unseen"})
        self._left: list[str] = []
        self._all_due_at = 0.0
        self._to_trim: set[str] = set()
        self._ended = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        leads = self._tenants.store.node.leads
        self._tasks = [
            asyncio.create_task(again(led(self._prune_due, leads), _not_pruned, self._ending), name="pruning"),
            asyncio.create_task(again(self._trim_due, _not_pruned, self._ending, wake=self._ended), name="trimming"),
            asyncio.create_task(again(led(self._tidy, leads), _not_pruned, self._ending), name="tidying"),
            asyncio.create_task(again(led(self._check_feeds, leads), self._feeds_unseen, self._ending), name="feeds"),
        ]

    async def stop(self) -> None:
        """Stop the work; the current step is finished."""
        self._ending.set()
        self._ended.set()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Check the size of the kept files of this tenant next. (An `importer.worker.closing.Watcher`.)"""
        self._trim_next(entry.tenant)

    def run_ended(self, run: Run) -> None:
        """Check next the size of the kept files of this tenant, if the file of `run` is one of them."""
        if run.state is ImportState.FAILED:
            self._trim_next(run.tenant)
        else:
            self._note_new(run.tenant)

    def _trim_next(self, tenant: str) -> None:
        self._to_trim.add(tenant)
        self._note_new(tenant)
        self._ended.set()

    def _note_new(self, tenant: str) -> None:
        """Note that the tenant has data that will expire."""
        self.figures.note_pruned(tenant, Pruned("", None))

    async def prune(self, names: list[str]) -> list[str]:
        """Delete expired data of these tenants; return those to retry."""
        left, rest = [], deque(names)
        while rest:
            begun, name = time.monotonic(), rest.popleft()
            if not await self._prune_one(name):
                left.append(name)
            if await set_within(self._ending, rest_s(time.monotonic() - begun, REST)):
                break
        return [*left, *rest]

    async def notify_stale_feeds(self) -> None:
        """Queue a notification about every stale feed, and log each once."""
        found = await self._feeds_now(await self.figures.renew(0))
        stale = {feed for feed in found if feed.stale}
        for feed in stale - self._known_stale:
            log.warning(
                "No file of %s was applied for %s.",
                *(feed.tenant, counted(feed.stale_after_days or 0, "day", "days")),
                extra={"event": "feed_stale", "tenant": feed.tenant, "last_applied_at": feed.last_applied_at},
            )
        self._known_stale = stale
        notified, self._notified = self._notified, {}
        for feed in found:
            # Its settings may name other recipients now: notify again if users.db has changed.
            known = feed, self.figures.seen(feed.tenant)
            if (notified.get(feed.tenant) == known or await self._notify(feed)) and known[1]:
                self._notified[feed.tenant] = known

    async def queue_due(self) -> None:
        """Queue the notifications that are due now about stale feeds and ending pauses, for a command."""
        for feed in await self._feeds_now(await self.figures.renew()):
            if feed.stale:
                await self._notify(feed)
        await self._pauses.look()

    async def _feeds_now(self, tenants: Sequence[Tenant]) -> list[Feed]:
        """Return the feeds of those `tenants` that have a limit and no pause now."""
        limited = [each for each in tenants if _is_limited(self.figures.of(each.name))]
        successes = await self._queue.last_successes() if limited else {}
        return [feed for feed in await self._feeds(limited, successes) if not feed.paused]

    async def _feeds(self, limited: Sequence[Tenant], successes: Mapping[str, str]) -> list[Feed]:
        """Return the feeds of tenants with a limit. None is stale because of a pause alone."""
        now, unread = self._clock(), set()
        for feed in feeds(limited, self.figures.all, successes, now, {}):
            if feed.stale and not await self._read_pauses(feed.tenant):
                unread.add(feed.tenant)
        known = [each for each in limited if each.name not in unread]
        return feeds(known, self.figures.all, successes, now, self.figures.pauses)

    async def _read_pauses(self, tenant: str) -> bool:
        """Read the pauses of a tenant; return whether that succeeded. Raises nothing: others follow."""
        try:
            await self.figures.read_pauses(tenant)
        except Exception as error:
            facts = {"event": "pauses_unread", "tenant": tenant}
            tell(log, f"The pauses of {tenant} cannot be read", error, facts, then="retrying in a minute")
            return False
        return True

    async def _notify(self, feed: Feed) -> bool:
        """Queue the notification about one feed; return whether that succeeded. Raises nothing: others follow."""
        try:
            if self._notifier:
                await (self._notifier.notify_stale(feed) if feed.stale else self._notifier.close_stale(feed))
        except Exception as error:
            sentence = f"The notification about the feed of {feed.tenant} cannot be queued"
            tell(log, sentence, error, {"event": "feed_untold", "tenant": feed.tenant}, then="retrying in a minute")
            return False
        return True

    async def _prune_due(self) -> float:
        """Prune once a day all tenants with data that may have expired, and each minute those to retry."""
        now = time.monotonic()
        if now >= self._all_due_at:
            self._left = await self._due()
            self._all_due_at = now + PRUNE_S
        self._left = await self.prune(self._left)
        return PRUNE_AGAIN_S if self._left else self._all_due_at - time.monotonic()

    async def _due(self) -> list[str]:
        tenants, now = await self.figures.renew(0), rfc3339(self._clock())
        return [
            each.name
            for each in tenants
            if may_have_expired(each, self.figures.of(each.name), self.figures.pruned(each.name), now)
        ]

    async def _trim_due(self) -> float:
        """Delete the oldest kept files of tenants whose imports ended, as far as they exceed `kept_bytes`."""
        self._ended.clear()
        due, self._to_trim = self._to_trim, set()
        self._to_trim |= {name for name in due if not await self._attempted(name, self._trim)}
        return PRUNE_AGAIN_S if self._to_trim else PRUNE_S

    async def _prune_one(self, name: str) -> bool:
        return await self._nothing_expired(name) or await self._attempted(name, self._trim_and_prune)

    async def _nothing_expired(self, name: str) -> bool:
        """Return whether nothing of the tenant has expired or is too much. Reads the store, and opens no users.db."""
        known, now = self.figures.of(name), self._clock()
        if known is None:
            return False
        try:
            tenant, (oldest, size) = await self._tenants.require(name), await self._queue.kept(name)
            oldest = first_of(oldest, await self._runs.first_end(name))
            size += await self._runs.failed_bytes(name)
        except (TenantRefused, TryAgain):
            return False
        before = rfc3339(now - timedelta(days=known.retention_days))
        if size > known.kept_bytes or (oldest and oldest < before):
            return False
        self._note_pruned(tenant, known.retention_days, known.kept_bytes, oldest)
        return True

    def _note_pruned(self, tenant: Tenant, retention_days: int, kept_bytes: int, oldest: str | None) -> None:
        """Note when to prune next. `oldest` is when the oldest import or run that is kept ended."""
        again_at = rfc3339(from_rfc3339(oldest) + timedelta(days=retention_days)) if oldest else None
        self.figures.note_pruned(tenant.name, Pruned(pruned_for(tenant, retention_days, kept_bytes), again_at))

    async def _trim(self, name: str, settings: TenantSettings) -> bool:
        folder = self._tenants.folder(name)
        archive, most = self._tenants.archive, settings.kept_bytes
        async with archive.locked(folder, folder.runs):  # nothing is run again meanwhile
            failed = await self._runs.failed(name)
            return await trim_copies(self._queue, name, folder, kept_bytes=most, failed_runs=failed, archive=archive)

    async def _trim_and_prune(self, name: str, settings: TenantSettings) -> None:
        tenant, now = await self._tenants.require(name), self._clock()
        too_many_soon = await self._trim(name, settings)
        days, folder, users = settings.retention_days, self._tenants.folder(name), self._tenants.users(name)
        pause, archive = pause_of(settings, now), self._tenants.archive
        of_runs = await prune_runs(self._runs, name, folder, rfc3339(now - timedelta(days=days)), archive)
        oldest = await prune(
            self._queue, name, folder, users, retention_days=days, now=now, pause=pause, archive=archive
        )
        oldest = first_of(oldest, of_runs)
        if too_many_soon:  # check again the next day
            oldest = rfc3339(now - timedelta(days=days))
        self._note_pruned(tenant, days, settings.kept_bytes, oldest)

    async def _attempted(self, name: str, work: Callable[[str, TenantSettings], Awaitable[object]]) -> bool:
        """Run `work` for a tenant with its settings. Return False if it should be retried soon."""
        if self._soundness and self._soundness.why(name):
            return False
        try:
            await work(name, await self._tenants.settings(name))
        except (Busy, TryAgain):
            return False
        except Exception as error:
            removed = isinstance(error, TenantRefused) and error.code == "no_tenant"
            if not removed and self._soundness and await self._soundness.look(name, error):
                return False
            if not removed:
                facts = {"event": "prune_failed", "tenant": name}
                tell(log, f"Cannot delete expired data of {name}", error, facts, then="retrying in a day")
        return True

    async def _tidy(self) -> float:
        with suppress(TryAgain):  # the next round tries again
            await self._tenants.home.tidy()
        return TIDY_S

    async def _check_feeds(self) -> float:
        await self.notify_stale_feeds()
        await self._pauses.look()
        return LOOK_AT_FEEDS_S

    def _feeds_unseen(self, error: Exception) -> float:
        self._trouble.met(error)
        return LOOK_AT_FEEDS_S


def pruned_for(tenant: Tenant, retention_days: int, kept_bytes: int) -> str:
    """Return the facts that decide, with the time, which data of `tenant` has expired."""
    return f"{tenant.last_import_id} {tenant.last_run_id} {retention_days} {kept_bytes}"


def may_have_expired(tenant: Tenant, figures: Figures | None, pruned: Pruned | None, now: str) -> bool:
    """Return whether data of `tenant` may have expired at `now` (RFC 3339)."""
    if not (tenant.last_import_id or tenant.last_run_id):
        return False
    if figures is None or pruned is None:
        return True
    if pruned.what != pruned_for(tenant, figures.retention_days, figures.kept_bytes):
        return True
    return pruned.again_at is not None and pruned.again_at <= now


def first_of(*times: str | None) -> str | None:
    """Return the first of these times (RFC 3339); None if none is known."""
    return min((each for each in times if each), default=None)


def _is_limited(figures: Figures | None) -> bool:
    return figures is not None and figures.stale_after_days is not None


def _not_pruned(error: Exception) -> float:
    tell(log, "Cannot delete expired data", error, {"event": "prune_failed"}, then="retrying in a day")
    return PRUNE_S
