"""Gauges of the server itself, set at each scrape: its parts, its hooks, its bans, its disk and its newest backup."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from server.data_disk import Disk
from server.upkeep.metrics import Metrics

WAIT_S = 0.2
"""The longest time in seconds that a scrape waits for a part."""

LATE_S = 3.0
"""The longest time in seconds that a scrape waits for counts of the database: Prometheus waits for 10 by default."""

SILENT_S = 5.0
"""A part that does not answer for so many seconds does not work."""

Check = Callable[[], Awaitable[bool]]
"""Returns whether a part works. An exception means that it does not."""


class Parts:
    """The parts of /readyz, for scrapes: a part that answers late shows its previous answer, for `SILENT_S`."""

    def __init__(self, checks: Mapping[str, Check], clock: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._clock = clock
        self._asked: dict[str, tuple[float, asyncio.Task[bool]]] = {}
        self._known: dict[str, bool] = {}

    async def look(self) -> Mapping[str, bool]:
        """Return which parts work, by name, after at most `WAIT_S`."""
        for name, check in self._checks.items():
            if name not in self._asked:
                self._asked[name] = self._clock(), asyncio.create_task(_works(check), name=f"asking {name}")
        await asyncio.wait([task for _, task in self._asked.values()], timeout=WAIT_S)
        now = self._clock()
        for name, (since, task) in [*self._asked.items()]:
            if task.done():
                self._known[name] = task.result()
                del self._asked[name]
            elif now - since > SILENT_S:
                self._known[name] = False
        return self._known


class Counts:
    """Counts of the database, for scrapes: while `counts` take longer than `late_s`, they show what they did before.

    The next scrape waits for the same counts. While the database `is_away`, no scrape waits for them.
    """

    def __init__(
        self,
        *counts: Callable[[], Awaitable[None]],
        is_away: Callable[[], bool] = lambda: False,
        late_s: float = LATE_S,
    ) -> None:
        self._counts = counts
        self._is_away = is_away
        self._late_s = late_s
        self._counting: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Count, for at most `late_s`; not at all while the database is away."""
        if self._is_away():
            return
        counting = self._counting = self._counting or asyncio.create_task(self._count(), name="counting")
        await asyncio.wait([counting], timeout=self._late_s)
        if counting.done():
            if self._counting is counting:
                self._counting = None
            counting.result()

    async def _count(self) -> None:
        for count in self._counts:
            await count()


class Gauges:
    """Sets the gauges of `metrics` that no event keeps up to date."""

    def __init__(
        self,
        metrics: Metrics,
        parts: Parts,
        disk: Disk,
        newest_backup: Callable[[], float],
        hooks_broken: Callable[[], int],
        banned: Callable[[], int],
    ) -> None:
        """`newest_backup` blocks, and returns a Unix time or NaN; the last two return numbers."""
        self._metrics = metrics
        self._parts = parts
        self._disk = disk
        self._newest_backup = newest_backup
        self._hooks_broken = hooks_broken
        self._banned = banned

    async def measure(self) -> None:
        """Set them to what holds now. Raises nothing."""
        self._metrics.parts(await self._parts.look())
        self._metrics.disk(self._disk.free.size, self._disk.free.of)
        self._metrics.last_backup.set(await asyncio.to_thread(self._newest_backup))
        self._metrics.hooks_broken.set(self._hooks_broken())
        self._metrics.banned_sources.set(self._banned())


def at_once(works: Callable[[], bool]) -> Check:
    """Return a check that answers at once."""

    async def check() -> bool:
        return works()

    return check


async def _works(check: Check) -> bool:
    try:
        return await check()
    except Exception:
        return False
