"""The outbox as those who send have it: what is due, and what became of it.

A try is written down before it is made: whatever happens to the process in between, the same message is tried again,
later and under the same id, and one that kills the process does not hold up the others for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from engine.outbox import Message, OutboxStore
from ground.moments import Clock, rfc3339, utc_now
from importer.queue.notices import Channel, Notice
from server.notify.retries import THREE_DAYS, Retries

KEPT = timedelta(days=30)
"""What was sent or given up is remembered so long; stale feeds for good, since a topic is told once."""

NEVER_SENT = timedelta(days=7)
"""What could not be sent while the server ran for so long (no mail server is set) is given up."""


class Outbox:
    """The outbox that is kept in `store`. Methods raise TryAgain when it can't be read or written now."""

    def __init__(self, store: OutboxStore, clock: Clock = utc_now, retries: Retries = THREE_DAYS) -> None:
        self._store = store
        self._clock = clock
        self._retries = retries

    async def put(self, notices: Iterable[Notice]) -> None:
        """Write notices that belong to no end of an import; a topic that was told already is left out."""
        await self._store.put(notices, now=self._now())

    async def close_topic(self, tenant: str, topic: str) -> None:
        """What was told under `topic` is not so any more: told again, it is news. What is not sent yet is dropped."""
        await self._store.close_topic(tenant, topic, now=self._now())

    async def due(self, channel: Channel) -> list[Message]:
        """What is to be tried now: of each tenant the oldest."""
        return await self._store.due(channel, self._retries.waiting(self._clock().timestamp()))

    async def begin(self, message: Message) -> Message | None:
        """A try begins: the message as it is now, its next try put off. None if it does not wait any more."""
        return await self._store.begin(
            message.id, not_before=self._clock().timestamp() + self._retries.wait_s(message.attempts + 1)
        )

    async def put_off(self, message: Message, wait_s: float) -> None:
        """A try that was begun could not be made: it does not count, and the next is due after `wait_s`."""
        await self._store.put_off(message.id, not_before=self._clock().timestamp() + wait_s)

    async def sent(self, message: Message, note: str | None = None) -> None:
        """It is delivered, but for what `note` says."""
        await self._end(message, "sent", note)

    async def dropped(self, message: Message, why: str) -> None:
        """The tenant no longer wants it."""
        await self._end(message, "dropped", why)

    async def failed(self, message: Message, error: str, *, for_good: bool = False) -> bool:
        """A try failed; whether that was the last one."""
        ends = for_good or self._retries.end(message.attempts)
        if ends:
            await self._end(message, "given_up", error)
        else:
            await self._store.note(message.id, error)
        return ends

    async def lengths(self) -> dict[Channel, int]:
        """How many messages wait, by channel."""
        return await self._store.lengths()

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        """The newest messages to a tenant, whatever became of them."""
        return await self._store.newest(tenant, limit)

    async def prune(self, ran_s: float) -> None:
        """Forget what is long over, and give up what could not be sent for days.

        The server ran for `ran_s` seconds since this was last asked: those count, and no step of the clock.
        """
        now, never_sent_s = self._clock(), NEVER_SENT.total_seconds()
        await self._store.prune(ran_s, never_sent_s=never_sent_s, now=rfc3339(now), before=rfc3339(now - KEPT))

    async def _end(self, message: Message, state: str, error: str | None) -> None:
        await self._store.end(message.id, state, error, now=self._now())

    def _now(self) -> str:
        return rfc3339(self._clock())
