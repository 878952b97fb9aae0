"""What is to be told outside, as it stands in the outbox until somebody has sent it.

A notice is written in the transaction that makes true what it tells, so that none is lost and none is untrue; and
under a topic, so that nobody is told twice about one thing.
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
    """One thing to tell one tenant in one way. `content` is JSON that only those who made it and send it read.

    Of an end of an import `topic` says which end; the queue adds the number of the change to it.
    """

    tenant: str
    channel: Channel
    topic: str
    content: str


class Herald(Protocol):
    """Who knows what is to be told of an end."""

    async def notices_of(self, entry: Entry) -> list[Notice]:
        """What to tell once `entry` has come to the end it shows, is held, or became no import."""


class Nobody:
    """A herald without anybody to tell."""

    async def notices_of(self, entry: Entry) -> list[Notice]:
        return []
