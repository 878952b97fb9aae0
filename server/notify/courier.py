"""Sends the messages of the outbox: mails one after the other, webhooks of several tenants at once.

If the mail server cannot be reached, all mails wait, longer after each attempt. A message that fails waits by itself.
A receiver that hangs delays only its own tenant: the tenant whose previous webhook is the oldest is next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from engine.outbox import Message
from ground.waits import Growing
from importer.errors import TryAgain
from importer.queue.notices import Channel
from keys.errors import SecretRefused
from server.notify.herald import SettingsOf, destination
from server.notify.layout import Letter
from server.notify.mail import Mailer, MailRefused, ServerAway
from server.notify.outbox import Outbox
from server.notify.webhooks import WebhookFailed, Webhooks
from server.rounds import Leads, Work, again, insist
from server.seldom import Seldom
from server.signing import WebhookSecrets
from server.tenants.settings import TenantSettings
from server.tenants.soundness import TenantBroken
from server.trouble import LOGGED_EVERY_S, Trouble, tell
from server.upkeep.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds between two looks at the outbox."""

AWAY = Growing(5.0, 300.0)
"""The waits for a mail server that cannot be reached."""

AT_ONCE = 16
"""The most webhooks in progress at once; at most one of each tenant."""

PRUNE_S = 3600.0
BROKEN_S = 10.0
"""Seconds until a message of a broken tenant is tried again."""


IsOff = Callable[[], Awaitable[bool]]
"""Returns whether nothing may be sent now (`server.tenants.sending`)."""

Send = Callable[[Message, TenantSettings], Awaitable[str | None]]
"""Sends a message; returns a note to record with it, or None."""


async def sending_is_on() -> bool:
    """Let everything be sent: an `IsOff`."""
    return False


class Courier:
    """Sends the outbox between `start()` and `stop()`.

    Without a mailer, mails wait. While `is_off`, all messages wait. Only the server that `leads` sends.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings_of: SettingsOf,
        secrets: WebhookSecrets,
        mailer: Mailer | None,
        webhooks: Webhooks,
        metrics: Metrics,
        *,
        away: Growing = AWAY,
        is_off: IsOff = sending_is_on,
        leads: Leads = lambda: True,
    ) -> None:
        self._outbox = outbox
        self._settings_of = settings_of
        self._secrets = secrets
        self._mailer = mailer
        self._webhooks = webhooks
        self._metrics = metrics
        self._away_waits = away
        self._is_off = is_off
        self._leads = leads
        self._away_times = 0
        self._held_up = HeldUp()
        self._ending = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._called_at: dict[str, float] = {}

    def start(self) -> None:
        self._pruned_at = time.monotonic()
        rounds: list[tuple[str, Work]] = [
            ("webhooks", self._look_for_webhooks),
            ("outbox", self._prune),
        ]
        if self._mailer:
            rounds.append(("mails", self._send_mails))
        self._loops = [
            asyncio.create_task(again(work, self._held_up, self._ending), name=name) for name, work in rounds
        ]

    async def stop(self, grace_s: float) -> None:
        """Start no more messages, and give those in progress `grace_s` to end. The rest is sent again later."""
        self._ending.set()
        tasks = [*self._loops, *self._under_way.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._mailer:
            await self._mailer.close()

    async def _prune(self) -> float:
        now = time.monotonic()
        if self._leads():
            await self._outbox.prune(now - self._pruned_at)
        self._pruned_at = now
        return PRUNE_S

    # Mails

    async def _send_mails(self) -> float:
        """Send the mails that are due; return the seconds until the next look."""
        assert self._mailer
        while not await self._may_not_send() and (due := await self._outbox.due(Channel.MAIL)):
            for message in due:
                try:
                    await self._deliver(message, self._mail)
                except ServerAway as error:
                    return self._away(error)
                if await self._may_not_send():
                    break
        await self._mailer.leave()
        return LOOK_S

    async def _mail(self, message: Message, settings: TenantSettings) -> str | None:
        assert self._mailer
        letter = Letter(message.content["subject"], message.content["text"], message.content.get("html"))
        note = await self._mailer.send(settings.notify_email, letter, message.message_id)
        self._away_times = 0
        return note

    def _away(self, error: ServerAway) -> float:
        log.warning("No mail can be sent: %s; retrying.", error, extra={"event": "mail_server_away"})
        self._away_times += 1
        return self._away_waits.after(self._away_times)

    # Webhooks

    async def _look_for_webhooks(self) -> float:
        due = await self._outbox.due(Channel.WEBHOOK) if self._leads() else []
        for message in sorted(due, key=lambda each: self._called_at.get(each.tenant, 0.0)):
            if await self._may_not_send():
                break
            if len(self._under_way) < AT_ONCE and message.tenant not in self._under_way:
                task = asyncio.create_task(self._call(message), name=f"webhook of {message.tenant}")
                self._under_way[message.tenant] = task
                self._called_at[message.tenant] = time.monotonic()
                task.add_done_callback(partial(self._called, message.tenant))
        return LOOK_S

    def _called(self, tenant: str, _task: asyncio.Task[None]) -> None:
        del self._under_way[tenant]

    async def _call(self, message: Message) -> None:
        try:
            await self._deliver(message, self._post)
        except TryAgain as error:
            self._held_up(error)

    async def _post(self, message: Message, settings: TenantSettings) -> None:
        try:
            secret = await self._secrets.webhook_secret(message.tenant)
        except SecretRefused as error:
            raise WebhookFailed(str(error)) from error
        await self._webhooks.send(settings.notify_webhook or "", secret, message.message_id, message.content)

    # Both

    async def _may_not_send(self) -> bool:
        return self._ending.is_set() or not self._leads() or await self._is_off()

    async def _deliver(self, due: Message, send: Send) -> None:
        """Try to send one message, and record the result in the outbox. Raises ServerAway, TryAgain."""
        message = await self._outbox.begin(due)
        if message is None:
            return
        try:
            settings = await self._settings_of(message.tenant)
            if not destination(settings, message.channel):
                await self._outbox.dropped(message, "the tenant has switched off this kind of notification")
                return
            note = await send(message, settings)
        except (MailRefused, WebhookFailed) as error:
            await self._failed(message, str(error), for_good=error.for_good)
        except ServerAway as error:
            await self._failed(message, str(error))
            raise
        except TryAgain:
            raise
        except TenantBroken:
            await self._outbox.put_off(message, BROKEN_S)
        except Exception as error:
            facts = {"event": "courier_fault", **_ids(message)}
            tell(log, "A notification could not be sent", error, facts, then="retrying")
        else:
            await self._sent(message, note)

    async def _sent(self, message: Message, note: str | None) -> None:
        await insist(lambda: self._outbox.sent(message, note), self._ending)
        self._metrics.delivered(message.channel, "sent")
        facts = {"event": "notified", **_ids(message)}
        log.info("A %s to %s was sent.", message.channel, message.tenant, extra=facts)

    async def _failed(self, message: Message, reason: str, *, for_good: bool = False) -> None:
        ended = await self._outbox.failed(message, reason, for_good=for_good)
        self._metrics.delivered(message.channel, "given_up" if ended else "failed")
        event = {"event": "notification_given_up"} if ended else {"event": "notification_failed"}
        log.warning(
            "A %s to %s could not be sent: %s; %s.",
            *(message.channel, message.tenant, reason, "giving up" if ended else "retrying"),
            extra={**event, **_ids(message)},
        )


def _ids(message: Message) -> dict[str, object]:
    return {"tenant": message.tenant, "outbox_id": message.id, "attempts": message.attempts}


class HeldUp:
    """Logs why sending fails, at most once a minute. The call returns the seconds until the next round."""

    def __init__(self) -> None:
        self._waits = Seldom(LOGGED_EVERY_S)
        self._trouble = Trouble(log, "Sending notifications fails", {"event": "courier_fault"})

    def __call__(self, error: Exception) -> float:
        if not isinstance(error, TryAgain):
            self._trouble.met(error)
            return 20 * LOOK_S
        if not error.told and (times := self._waits.again(time.monotonic())):
            facts = {"event": "outbox_waits", "times": times}
            log.warning("The outbox cannot be read or written: %s; retrying.", error.in_full, extra=facts)
        return 2 * LOOK_S
