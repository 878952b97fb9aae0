"""Notifications and invitations as one part of the server: herald, courier, inviter and weekly digests."""

from __future__ import annotations

import asyncio
import logging

from ground.words import as_sentence
from importer.errors import DatabaseFault, ImporterError
from importer.queue.entry import Entry
from importer.queue.notices import Channel
from importer.queue.pause import Pause
from server.notify.courier import Courier, HeldUp
from server.notify.herald import TenantHerald, stale_topic
from server.notify.inviter import ROUND_S, Inviter
from server.notify.layout import Links
from server.notify.mail import Mailer, MailServer, sender_of
from server.notify.outbox import Outbox
from server.notify.webhooks import Webhooks
from server.notify.weekly import Weekly
from server.rounds import again
from server.settings import ServerSettings
from server.tenants.feeds import Feed
from server.tenants.figures import FigureBook
from server.tenants.settings import TenantSettings, read_settings
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.upkeep.metrics import Metrics

log = logging.getLogger(__name__)

SHARED_ROUND_S = 10.0
"""The same as `ROUND_S` where servers share the data: the import of another one may have invited users."""

REMIND_S = 3600.0
"""Seconds between two log lines about sending that is off."""


class Notifications:
    """Mail, webhooks and invitations of one server.

    It is one of the watchers of `importer.worker.closing`. `herald` creates the notifications.
    """

    def __init__(
        self,
        settings: ServerSettings,
        tenants: Tenants,
        outbox: Outbox,
        metrics: Metrics,
        soundness: Soundness | None = None,
        figures: FigureBook | None = None,
    ) -> None:
        self._figures = figures or FigureBook(tenants)
        self._settings = settings
        self._tenants = tenants
        self._soundness = soundness
        self._outbox = outbox
        self._lengths = Outbox(tenants.store.looking().outbox())  # a scrape waits for no write
        self._metrics = metrics
        self.herald = TenantHerald(tenants.folder, self._settings_of, settings.http_public_url, tenants.archive)
        self._sending = tenants.sending
        self._ending = asyncio.Event()
        self._reminding: asyncio.Task[None] | None = None
        webhooks, off = Webhooks(allow_private=settings.webhook_allow_private), self._sending.is_off
        of_outbox = outbox, self._settings_of, tenants.home.secrets, self._mailer(), webhooks, metrics
        self._leads = (node := tenants.store.node).leads
        self._courier = Courier(*of_outbox, is_off=off, leads=node.leads)
        mailer = self._mailer()  # a separate connection: thousands of invitations delay no notification
        url = settings.http_public_url
        parts = self._inviting, self._settings_of, tenants.users
        self._invite_s = SHARED_ROUND_S if node.shares else ROUND_S
        self._inviter = (
            Inviter(
                *(*parts, mailer, metrics),
                public_url=url,
                is_off=off,
                leads=node.leads,
                round_s=self._invite_s,
            )
            if mailer
            else None
        )
        listing, links = tenants.store.looking().imports(), Links(url)
        self._weekly = Weekly(tenants, listing, outbox, self._settings_of, links, is_off=off)

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        if self._inviter:
            await self._inviter.ended(entry, duration_s)

    async def notify_stale(self, feed: Feed) -> None:
        """Write the notification of a stale feed; once until a file is applied again, however often this is called.

        It is in the outbox when this returns. Raises TryAgain; then nothing was written.
        """
        await self._outbox.put(
            await self.herald.stale_notices(feed.tenant, feed.stale_after_days or 0, feed.last_applied_at)
        )

    async def close_stale(self, feed: Feed) -> None:
        """Let a feed that is not stale now be notified again when it is stale.

        It may have been notified with no file applied since: the clock stepped back, or the limit was raised.
        """
        await self._outbox.close_topic(feed.tenant, stale_topic(feed.last_applied_at))

    async def notify_pause_ending(self, tenant: str, pause: Pause, files: int) -> None:
        """Write the notification of a pause that ends soon; once for each end, however often this is called.

        It is in the outbox when this returns. Raises TryAgain; then nothing was written.
        """
        await self._outbox.put(await self.herald.pause_notices(tenant, pause, files))

    async def skip_digests(self) -> None:
        """Write no digest of the newest week, for a server whose sending is off. Raises OSError."""
        await self._weekly.skip()

    def start(self) -> None:
        if self._settings.smtp_url and not self._settings.http_public_url:
            log.warning(
                "Mails have no links: set HEADCOUNT_HTTP_PUBLIC_URL to the address of the page.",
                extra={"event": "mails_without_links"},
            )
        self._reminding = asyncio.create_task(again(self._remind, HeldUp(), self._ending), name="reminding")
        self._courier.start()
        self._weekly.start()
        if self._inviter:
            self._inviter.start()

    async def stop(self, grace_s: float) -> None:
        """Start no more messages, and give those in progress `grace_s` to end. The next start sends the rest."""
        self._ending.set()
        parts = [
            *([self._reminding] if self._reminding else []),
            self._weekly.stop(),
            self._courier.stop(grace_s),
            *([self._inviter.stop(grace_s)] if self._inviter else []),
        ]
        await asyncio.gather(*parts)

    async def measure(self) -> None:
        """Update the metric of waiting messages. The inviter updates that of invitations.

        Only the server that leads shows it, as only that one sends. While the database cannot be read, nothing
        changes: the metrics of the parts show why.
        """
        if not self._leads():
            self._metrics.outbox_length.clear()
            return
        try:
            lengths = await self._lengths.lengths()
        except (ImporterError, DatabaseFault):
            return
        for channel in Channel:
            self._metrics.outbox_length.labels(channel).set(lengths[channel])

    async def _remind(self) -> float:
        """Log that sending is off."""
        if why := await self._sending.why_off():
            log.warning("%s", as_sentence(why), extra={"event": "sending_off"})
        return REMIND_S

    def _mailer(self) -> Mailer | None:
        if self._settings.smtp_url is None:
            return None
        server = MailServer.from_url(self._settings.smtp_url.get_secret_value())
        return Mailer(server, sender_of(server, self._settings.smtp_from))

    async def _settings_of(self, tenant: str) -> TenantSettings:
        if self._soundness:
            return await self._soundness.settings(tenant)
        return await asyncio.to_thread(read_settings, self._tenants.users(tenant))

    async def _inviting(self) -> list[str]:
        """Return the tenants where invitations wait."""
        tenants, figures = await self._figures.renew(0, age_s=self._invite_s / 2), self._figures.all
        return [each.name for each in tenants if each.name in figures and figures[each.name].inviting]
