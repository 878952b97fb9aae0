"""Notifies a day before the pause of a feed ends: its waiting files are imported then.

Only tenants that were paused are looked at (`Home.perhaps_paused`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from ground.moments import Clock
from importer.queue.listing import Listing
from importer.queue.pause import Pause, waits_by
from server.tenants.figures import FigureBook
from server.tenants.pauses import Span, pause_of
from server.tenants.tenants import Tenants
from server.trouble import tell

log = logging.getLogger(__name__)

BEFORE = timedelta(days=1)
"""How long before its end a pause is notified. A shorter pause is not."""


class PauseNotifier(Protocol):
    """Sends the notification about the end of a pause: once for each end, however often it is called."""

    async def notify_pause_ending(self, tenant: str, pause: Pause, files: int) -> None: ...


class EndingPauses:
    """The pauses of all tenants, and the notifications before their ends."""

    def __init__(
        self, tenants: Tenants, figures: FigureBook, queue: Listing, clock: Clock, notifier: PauseNotifier | None
    ) -> None:
        self._tenants = tenants
        self._figures = figures
        self._queue = queue
        self._clock = clock
        self._notifier = notifier

    async def look(self) -> None:
        """Queue a notification for every pause that ends soon. One tenant that fails stops no other."""
        names = [each.name for each in await self._tenants.list()]
        for name in await self._tenants.home.perhaps_paused(names):
            try:
                await self._look_at(name)
            except Exception as error:
                facts = {"event": "pause_untold", "tenant": name}
                sentence = f"The notification about the end of the pause of {name} cannot be queued"
                tell(log, sentence, error, facts, then="retrying in a minute")

    async def _look_at(self, name: str) -> None:
        now = self._clock()
        pause = pause_of(await self._tenants.settings(name), now)
        if pause is None:
            await self._tenants.home.end_pause(name)
        elif self._notifier and ends_soon(await self._figures.read_pauses(name), now):
            queued = await self._queue.queued(name)
            await self._notifier.notify_pause_ending(name, pause, sum(waits_by(pause, each) for each in queued))


def ends_soon(pauses: Sequence[Span], now: datetime) -> bool:
    """Return whether the pause that lasts at `now` ends within BEFORE, and lasts longer than that. Pure."""
    return any(each.lasts(now) and each.end - now <= BEFORE < each.end - each.begin for each in pauses)
