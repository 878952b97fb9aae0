"""Keeps the search indexes of all tenants up to date: after an import, after an undo, and a minute after any change.

None of it is needed for a right answer, only for a quick one; so nothing here fails anything, and what could not be
done now is done the next time. A tenant whose users.db looks as it did when it was followed is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.users import search
from server.rounds import again, set_within
from server.tenants.figures import FigureBook
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.trouble import tell

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Who changes users by hand, or removes an index, tells nobody."""

LOG_MOST = 1000
"""So many rows may be in the log of users who are too few for an index."""

REST = 4.0
"""After a tenant whose import did not just end it rests so many times as long as that one took."""

WORTH_A_LINE = 10_000


class Indexer:
    """An `importer.worker.closing.Watcher`. Works between `start()` and `stop()`, on one tenant after the other."""

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
        """End what is under way after its present step."""
        self._ending.set()
        self._wake.set()
        if self._task:
            await asyncio.wait([self._task])

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Users may have changed: their index is looked at next."""
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
                await set_within(self._wake, (time.monotonic() - begun) * REST)
                self._wake.clear()
        return 0 if self._ending.is_set() else LOOK_S

    async def _changed(self) -> set[str]:
        try:
            names = [tenant.name for tenant in await self._figures.renew(0, age_s=LOOK_S / 2)]
            return set(await asyncio.to_thread(self._to_follow, names))
        except Exception as error:
            tell(log, "Tenants cannot be listed", error, {"event": "index_failed"})
            return set()

    def _to_follow(self, names: Iterable[str]) -> list[str]:
        """In a thread: the tenants whose index may be behind."""
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
            if not self._tenants.folder(name).root.exists():
                return  # removed while a file of it was being opened
            if self._soundness and await self._soundness.look(name, error):
                return
            if name not in self._failing:  # once, until it has gone well again
                log.warning(
                    "The users of %s can't be indexed for searching now: %s. Searching them is slow until then.",
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
                "Indexed %d changes of users of %s for searching, in %.1f s.",
                *(done, name, time.monotonic() - start),
                extra={"event": "users_indexed", "tenant": name, "users": done},
            )


def _failed(error: Exception) -> float:
    tell(log, "Users cannot be indexed for searching now", error, {"event": "index_failed"})
    return LOOK_S
