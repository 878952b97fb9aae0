"""The messages that wait while sending is off, and how to drop them before it is turned on.

Notifications of stale feeds and digests that are due now and not written yet are dropped too. Else the next start
would write and send them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from ground.moments import utc_now
from importer.queue.notices import Channel
from server.notify.outbox import Outbox
from server.notify.service import Notifications
from server.settings import ServerSettings
from server.tenants.figures import FigureBook
from server.tenants.tenants import Tenants
from server.upkeep.keeping import Keeper
from server.upkeep.metrics import Metrics

WAIT_S = 10.0
"""The longest wait for an import that writes to a users.db."""

DROPPED = "the operator dropped it when sending was turned on"

Patiently = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Runs a change, and again while an import of the tenant writes."""


class Owing:
    """The waiting messages of all `tenants`, for a command beside a server or without one."""

    def __init__(self, tenants: Tenants, settings: ServerSettings) -> None:
        self._tenants = tenants
        self._outbox = Outbox(tenants.store.outbox())
        self._figures = FigureBook(tenants)
        self._notifications = Notifications(settings, tenants, self._outbox, Metrics(), figures=self._figures)
        self._keeper = Keeper(tenants, tenants.store.imports(), utc_now, self._notifications, figures=self._figures)

    async def counts(self) -> dict[str, int]:
        """Return the number of waiting `mails`, `webhooks` and `invitations`. Raises TryAgain."""
        lengths, invitations = await self._outbox.lengths(), 0
        for name in await self._inviting():
            async with self._tenants.users(name).invitations(WAIT_S) as opened:
                invitations += await opened.waiting()
        return {"mails": lengths[Channel.MAIL], "webhooks": lengths[Channel.WEBHOOK], "invitations": invitations}

    async def drop(self, patiently: Patiently) -> None:
        """Let nothing be sent that waits or is due now. Raises TryAgain, OSError."""
        await self._keeper.queue_due()
        await self._notifications.skip_digests()
        await self._outbox.drop_waiting(DROPPED)
        for name in await self._inviting():
            await patiently(partial(self._withdraw, name))

    async def unread(self) -> list[str]:
        """Return the tenants whose invitations are not known, because they are broken."""
        await self._figures.renew(write=False)
        return sorted(self._figures.uncounted)

    async def _withdraw(self, name: str) -> None:
        async with self._tenants.users(name).invitations(WAIT_S) as opened:
            await opened.withdraw()

    async def _inviting(self) -> list[str]:
        tenants, figures = await self._figures.renew(write=False), self._figures.all
        return [each.name for each in tenants if each.name in figures and figures[each.name].inviting]
