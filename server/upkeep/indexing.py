"""Keeps the search indexes of all tenants up to date: after an import or undo, and within a minute of other changes.

Searches are right without an index, only slower. So a failure here fails nothing else, and the work is retried. A
tenant whose users.db has not changed since its index was updated is skipped.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.users import search
from server.rounds import again, rest_s, set_within
from server.tenants.figures import FigureBook
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.trouble import tell

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between two checks for users changed by SQL and for removed indexes, which nothing reports."""

LOG_MOST = 1000
"""The most rows in the change log of a tenant whose users are too few for an index."""

REST = 4.0
"""The pause after a tenant without a new import, as a multiple of the time that its update took."""

AGAIN = "retrying in a minute"

WORTH_A_LINE = 10_000
"""From so many changes on, an update of an index is logged."""


class Indexer:
    """An `importer.worker.closing.Watcher`. It works between `start()` and `stop()`, on one tenant at a time."""

    def __init__(
        self, tenants: Tenants, soundness: Soundness | None = None, figures: FigureBook | None = None
    ) -> None:
        self._tenants = tenants
        self._soundness = soundness
        self._figures = figures or FigureBook(tenants)
        self._followed: dict[str, str] = {}
        self._ended: set[str] = set()
        self._due: set[str] = set()
        self._failing: set[str] = set()
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._looked_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(again(self._round, _failed, self._ending, wake=self._wake), name="indexing")

    async def stop(self) -> None:
        """Stop after the current step."""
        self._ending.set()
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task])

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Update the index of this tenant next: its users may have changed."""
        if entry.state in APPLIED | {ImportState.UNDONE} and not entry.dry_run:
            self._ended.add(entry.tenant)
            self._wake.set()

    async def _round(self) -> float:
        self._wake.clear()
        if self._looked_at is None or time.monotonic() - self._looked_at >= LOOK_S:
            self._due |= await self._changed()
            self._looked_at = time.monotonic()
        while (self._ended or self._due) and not self._ending.is_set():
            begun = time.monotonic()
            if self._ended:
                await self._catch_up(self._ended.pop())
            else:
                await self._catch_up(self._due.pop())
                await set_within(self._wake, rest_s(time.monotonic() - begun, REST))
                self._wake.clear()
        return 0 if self._ending.is_set() else LOOK_S

    async def _changed(self) -> set[str]:
        try:
            names = [tenant.name for tenant in await self._figures.renew(0, age_s=LOOK_S / 2)]
            return set(await asyncio.to_thread(self._to_follow, names))
        except Exception as error:
            tell(log, "The search indexes cannot be checked", error, {"event": "index_failed"}, then=AGAIN)
            return set()

    def _to_follow(self, names: Iterable[str]) -> list[str]:
        """Return the tenants whose index may be out of date. Runs in a thread."""
        self._followed = {name: self._followed[name] for name in names if name in self._followed}
        found = []
        for name in names:
            figures, seen = self._figures.of(name), self._figures.seen(name)
            if figures is None:
                continue
            if figures.active + figures.deactivated <= search.FEW:
                behind = figures.logged > LOG_MOST
            else:
                followed = seen is not None and self._followed.get(name) == seen
                behind = not followed or not self._tenants.users(name).is_indexed()
            if behind:
                found.append(name)
        return found

    async def _catch_up(self, name: str) -> None:
        if self._soundness and self._soundness.why(name):
            return
        start, seen = time.monotonic(), self._figures.seen(name)
        try:
            done = await asyncio.to_thread(self._tenants.users(name).catch_up_index, self._ending.is_set)
        except FileNotFoundError:
            return  # removed meanwhile
        except Exception as error:
            if not await self._tenants.home.exists(name):
                return  # removed while one of its files was opened
            if self._soundness and await self._soundness.look(name, error):
                return
            if name not in self._failing:  # once, until it succeeds again
                log.warning(
                    "The search index of %s cannot be updated, so its searches are slow: %s; retrying.",
                    *(name, error),
                    extra={"event": "index_failed", "tenant": name},
                )
            self._failing.add(name)
            return
        self._failing.discard(name)
        if seen:
            self._followed[name] = seen
        if done >= WORTH_A_LINE:
            log.info(
                "The search index of %s was updated: %d changes in %.1f s.",
                *(name, done, time.monotonic() - start),
                extra={"event": "users_indexed", "tenant": name, "users": done},
            )


def _failed(error: Exception) -> float:
    tell(log, "The search indexes cannot be updated", error, {"event": "index_failed"}, then=AGAIN)
    return LOOK_S
