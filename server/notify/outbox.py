"""The outbox of the senders: the messages that are due, and the results of sending them.

An attempt is recorded before it is made. After a crash the message is tried again, later and with the same id; a
message that crashes the server does not block the others for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from engine.outbox import Message, OutboxStore
from ground.moments import Clock, rfc3339, utc_now
from importer.queue.notices import Channel, Notice
from server.notify.retries import THREE_DAYS, Retries

KEPT = timedelta(days=30)
"""How long ended messages are kept. Those of stale feeds are kept for ever, because a topic is sent once."""

NEVER_SENT = timedelta(days=7)
"""A message is given up after waiting for this much running time of the server, as without a mail server."""


class Outbox:
    """The outbox in `store`. Methods raise TryAgain if it cannot be read or written now."""

    def __init__(self, store: OutboxStore, clock: Clock = utc_now, retries: Retries = THREE_DAYS) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries

    async def put(self, notices: Iterable[Notice]) -> None:
        """Write notifications that do not belong to an import. A topic that was written already is skipped."""
        await self._store.put(notices, now=self._now())

    async def close_topic(self, tenant: str, topic: str) -> None:
        """Let `topic` be written again, because it is over. Messages of it that were not sent yet are dropped."""
        await self._store.close_topic(tenant, topic, now=self._now())

    async def due(self, channel: Channel) -> list[Message]:
        """Return the messages that are due: the oldest of each tenant."""
        return await self._store.due(channel, self._retries.waiting(self._clock().timestamp()))

    async def begin(self, message: Message) -> Message | None:
        """Begin an attempt, and set the time of the next one. Return the message, or None if it no longer waits."""
        return await self._store.begin(
            message.id, not_before=self._clock().timestamp() + self._retries.wait_s(message.attempts + 1)
        )

    async def put_off(self, message: Message, wait_s: float) -> None:
        """Do not count an attempt that could not be made; the next one is due after `wait_s`."""
        await self._store.put_off(message.id, not_before=self._clock().timestamp() + wait_s)

    async def sent(self, message: Message, note: str | None = None) -> None:
        """Record that the message was delivered; `note` names exceptions."""
        await self._end(message, "sent", note)

    async def dropped(self, message: Message, why: str) -> None:
        """Drop a message that the tenant no longer wants."""
        await self._end(message, "dropped", why)

    async def drop_waiting(self, why: str) -> None:
        """Drop all messages that wait, to all tenants."""
        await self._store.drop_waiting(why, now=self._now())

    async def failed(self, message: Message, error: str, *, for_good: bool = False) -> bool:
        """Record a failed attempt; return whether it was the last one."""
        ends = for_good or self._retries.end(message.attempts)
        if ends:
            await self._end(message, "given_up", error)
        else:
            await self._store.note(message.id, error)
        return ends

    async def lengths(self) -> dict[Channel, int]:
        """Return the number of waiting messages, by channel."""
        return await self._store.lengths()

    async def owed(self, limit: int) -> list[Message]:
        """Return the waiting messages to all tenants, oldest first, up to `limit`."""
        return await self._store.owed(limit)

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        """Return the newest messages to a tenant, in any state."""
        return await self._store.newest(tenant, limit)

    async def prune(self, ran_s: float) -> None:
        """Delete messages that ended more than `KEPT` ago, and give up those that waited for `NEVER_SENT`.

        `ran_s` is the running time of the server since the previous call. Only this time counts as waiting, because
        the clock may step.
        """
        now, never_sent_s = self._clock(), NEVER_SENT.total_seconds()
        await self._store.prune(ran_s, never_sent_s=never_sent_s, now=rfc3339(now), before=rfc3339(now - KEPT))

    async def _end(self, message: Message, state: str, error: str | None) -> None:
        await self._store.end(message.id, state, error, now=self._now())

    def _now(self) -> str:
        return rfc3339(self._clock())
