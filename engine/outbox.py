"""Notifications to send, stored until they are sent, and their results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from importer.queue.notices import Channel, Notice


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the outbox. `attempts` counts the tries begun; times are RFC 3339 in UTC."""

    id: int
    tenant: str
    channel: Channel
    topic: str
    message_id: str
    content: dict[str, Any]
    created_at: str
    state: str
    attempts: int
    error: str | None
    finished_at: str | None

    def to_json(self) -> dict[str, object]:
        """Return the fields that commands show."""
        names = ("id", "channel", "topic", "state", "attempts", "error", "created_at", "finished_at")
        return {name: getattr(self, name) for name in names}


class OutboxStore(Protocol):
    """Messages to all tenants: `waiting` until they are `sent`, `given_up` or `dropped`.

    They are removed with their tenant.

    `now` is RFC 3339; `not_before`, the earliest time of the next try, is in seconds since 1970.
    """

    async def put(self, notices: Iterable[Notice], *, now: str) -> None:
        """Write notices, all or none. A notice whose topic its channel already has is left out."""

    async def close_topic(self, tenant: str, topic: str, *, now: str) -> None:
        """Allow new messages of `topic`: in one step drop its waiting messages, and give its other ones another
        topic.

        If there are no messages of the topic, nothing is written.
        """

    async def due(self, channel: Channel, waits: tuple[float, float]) -> list[Message]:
        """Return the oldest waiting message of each tenant, if its next try is due; the oldest first.

        A message is not due if its `not_before` is above the first of `waits` and not above the second.
        """

    async def begin(self, number: int, *, not_before: float) -> Message | None:
        """Count a try of a waiting message, and schedule the next one.

        Return the message as it is now; None if not waiting.
        """

    async def put_off(self, number: int, *, not_before: float) -> None:
        """Count one try less of a waiting message, and schedule the next one."""

    async def end(self, number: int, state: str, error: str | None, *, now: str) -> None:
        """End a waiting message."""

    async def drop_waiting(self, why: str, *, now: str) -> None:
        """Drop all waiting messages, to all tenants, in one step; `why` is stored with each."""

    async def note(self, number: int, error: str) -> None:
        """Store why a try of a message failed."""

    async def lengths(self) -> dict[Channel, int]:
        """Return how many messages wait, for every channel."""

    async def owed(self, limit: int) -> list[Message]:
        """Return the first `limit` waiting messages to all tenants, oldest first."""

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        """Return the newest messages to a tenant, in every state, newest first."""

    async def prune(self, ran_s: float, *, never_sent_s: float, now: str, before: str) -> None:
        """Count `ran_s` more seconds for waiting messages, give up old ones, and delete ended ones.

        Given up are those that waited for `never_sent_s`. Deleted are those that ended before `before`, except topics
        that begin with `stale `. These are three steps: after a crash in between, the next call continues.
        """
