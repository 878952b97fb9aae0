"""Notifications to send, as the outbox keeps them until they are sent.

A notice is written in the same transaction as the state it reports, so none is lost and none is untrue. Its topic
prevents two notices about the same event.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from importer.queue.entry import Entry


class Channel(StrEnum):
    MAIL = "mail"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification to one tenant through one channel. `content` is JSON that only its writer and its sender read.

    For the end of an import `topic` names the end; the queue adds the number of the state change to it.
    """

    tenant: str
    channel: Channel
    topic: str
    content: str


class Herald(Protocol):
    """Writes the notices of an import's end."""

    async def notices_of(self, entry: Entry) -> list[Notice]:
        """Return the notices to send when `entry` has reached its final state, is held, or became no import."""


class NoNotices:
    """A Herald that sends no notices."""

    async def notices_of(self, entry: Entry) -> list[Notice]:
        return []
