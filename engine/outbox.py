"""What is to be told outside, as it is kept until it was sent, and what became of it."""

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
        """What the command line shows of it."""
        names = ("id", "channel", "topic", "state", "attempts", "error", "created_at", "finished_at")
        return {name: getattr(self, name) for name in names}


class OutboxStore(Protocol):
    """Messages to all tenants, `waiting` until they are `sent`, `given_up` or `dropped`; they go with their tenant.

    `now` is RFC 3339; `not_before`, before which no try is made, is in seconds since 1970.
    """

    async def put(self, notices: Iterable[Notice], *, now: str) -> None:
        """Write notices, all or none; a topic that was told already by that channel is left out."""

    async def close_topic(self, tenant: str, topic: str, *, now: str) -> None:
        """Let `topic` be told again: in one step drop what waits under it, and give what was told another topic.

        Where nothing was told under it, nothing is written.
        """

    async def due(self, channel: Channel, waits: tuple[float, float]) -> list[Message]:
        """Of each tenant the oldest message that waits, if its next try is due; the oldest first.

        Not due is what has a `not_before` that is above the first of `waits`, and not above the second.
        """

    async def begin(self, number: int, *, not_before: float) -> Message | None:
        """Count a try of a message that waits, and put off the next one. Return it as it is now; else None."""

    async def put_off(self, number: int, *, not_before: float) -> None:
        """Count one try less of a message that waits, and put off the next one."""

    async def end(self, number: int, state: str, error: str | None, *, now: str) -> None:
        """End a message that waits."""

    async def note(self, number: int, error: str) -> None:
        """Write down why a try of a message failed."""

    async def lengths(self) -> dict[Channel, int]:
        """How many messages wait, by channel; of each channel."""

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        """The newest messages to a tenant, whatever became of them, newest first."""

    async def prune(self, ran_s: float, *, never_sent_s: float, now: str, before: str) -> None:
        """Count `ran_s` seconds more for what waits, give up what waited for `never_sent_s`, and remove what ended
        before `before`, but for topics that begin with `stale `.

        These are three steps: after a crash in between, the next call goes on.
        """
