"""What the server does by itself as time passes: forget what is too old, and notice that a feed has gone quiet."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from ground.moments import Clock
from importer.errors import TryAgain
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.worker.pruning import Busy, prune, trim_copies
from server.rounds import again
from server.tenants.feeds import Feed, feeds
from server.tenants.settings import TenantRefused, TenantSettings
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.trouble import Trouble, tell

log = logging.getLogger(__name__)

PRUNE_S = 24 * 3600.0
PRUNE_AGAIN_S = 60.0
"""A tenant that could not be pruned, because an import of it ran or it is broken, is looked at again so soon."""

LOOK_AT_FEEDS_S = 60.0


class Teller(Protocol):
    """Who sees to it that a stale feed is told of: once while it is stale, however often these are called."""

    async def tell_stale(self, feed: Feed) -> None: ...

    async def tell_fresh(self, feed: Feed) -> None: ...


class Keeper:
    """Works between `start()` and `stop()`: once at the start, then again and again. Nothing here fails it."""

    def __init__(
        self,
        tenants: Tenants,
        queue: Queue,
        clock: Clock,
        teller: Teller | None = None,
        soundness: Soundness | None = None,
    ) -> None:
        self._tenants = tenants
        self._queue = queue
        self._clock = clock
        self._teller = teller
        self._soundness = soundness
        self._known_stale: set[Feed] = set()
        self._trouble = Trouble(log, "Looking at feeds fails", {"event": "feeds_unseen"})
        self._left: list[str] = []
        self._all_due_at = 0.0
        self._to_trim: set[str] = set()
        self._ended = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(again(self._prune_due, _not_pruned, self._ending), name="pruning"),
            asyncio.create_task(again(self._trim_due, _not_pruned, self._ending, wake=self._ended), name="trimming"),
            asyncio.create_task(again(self._look_at_feeds, self._feeds_unseen, self._ending), name="feeds"),
        ]

    async def stop(self) -> None:
        """End what is under way; a step that was begun is finished."""
        self._ending.set()
        self._ended.set()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """An import ended: its copy may be one too many. A `importer.worker.closing.Watcher`."""
        self._to_trim.add(entry.tenant)
        self._ended.set()

    async def prune(self, names: list[str]) -> list[str]:
        """Forget what is too old of these tenants; those that could not be pruned now."""
        return [name for name in names if not await self._prune_one(name)]

    async def tell_of_stale_feeds(self) -> None:
        """Have somebody told of every feed that is stale; the log has each once."""
        found = await feeds(self._tenants, self._queue, self._clock())
        stale = {feed for feed in found if feed.stale}
        for feed in stale - self._known_stale:
            log.warning(
                "No file of %s was applied for %d days.",
                *(feed.tenant, feed.stale_after_days),
                extra={"event": "feed_stale", "tenant": feed.tenant, "last_applied_at": feed.last_applied_at},
            )
        self._known_stale = stale
        for feed in found:
            if feed.stale is not None:
                await self._tell(feed)

    async def _tell(self, feed: Feed) -> None:
        """One that can't be told of now is no reason not to tell of the others; the next look is the next try."""
        try:
            if self._teller:
                await (self._teller.tell_stale(feed) if feed.stale else self._teller.tell_fresh(feed))
        except Exception as error:
            sentence = f"Whether the feed of {feed.tenant} is stale cannot be told now"
            tell(log, sentence, error, {"event": "feed_untold", "tenant": feed.tenant})

    async def _prune_due(self) -> float:
        """Prune all tenants once a day, and in between those that could not be pruned."""
        now = time.monotonic()
        if now >= self._all_due_at:
            self._all_due_at = now + PRUNE_S
            self._left = [tenant.name for tenant in await self._tenants.list()]
        self._left = await self.prune(self._left)
        return PRUNE_AGAIN_S if self._left else self._all_due_at - time.monotonic()

    async def _trim_due(self) -> float:
        """Remove copies that are too many of the tenants whose imports ended; those that cannot be now, later."""
        self._ended.clear()
        due, self._to_trim = self._to_trim, set()
        self._to_trim |= {name for name in due if not await self._tried(name, self._trim)}
        return PRUNE_AGAIN_S if self._to_trim else PRUNE_S

    async def _prune_one(self, name: str) -> bool:
        return await self._tried(name, self._trim) and await self._tried(name, self._prune)

    async def _trim(self, name: str, settings: TenantSettings) -> None:
        await trim_copies(self._queue, name, self._tenants.folder(name), kept_bytes=settings.kept_bytes)

    async def _prune(self, name: str, settings: TenantSettings) -> None:
        await prune(
            self._queue,
            name,
            self._tenants.folder(name),
            retention_days=settings.retention_days,
            now=self._clock(),
        )

    async def _tried(self, name: str, work: Callable[[str, TenantSettings], Awaitable[None]]) -> bool:
        """Do `work` for a tenant, with its settings. False if it can be done later."""
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
                tell(log, f"What is too old of {name} cannot be deleted", error, facts)
        return True

    async def _look_at_feeds(self) -> float:
        await self.tell_of_stale_feeds()
        return LOOK_AT_FEEDS_S

    def _feeds_unseen(self, error: Exception) -> float:
        self._trouble.met(error)
        return LOOK_AT_FEEDS_S


def _not_pruned(error: Exception) -> float:
    tell(log, "Tenants cannot be listed", error, {"event": "prune_failed"})
    return PRUNE_S
