"""The outbox of headcount.db as its readers see it: what is due, what became of it.

A try is written down before it is made: whatever happens to the process in between, the same message is tried again,
later and under the same id, and one that kills the process does not hold up the others for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiosqlite

from ground.moments import Clock, rfc3339, utc_now
from importer.queue.ledger import Ledger
from importer.queue.notices import Channel, Notice, put_in_outbox
from server.notify.retries import STILL_WAITS, THREE_DAYS, Retries

KEPT = timedelta(days=30)
"""What was sent or given up is remembered so long; stale feeds for good, since a topic is told once."""

NEVER_SENT = timedelta(days=7)
"""What could not be sent while the server ran for so long (no mail server is set) is given up."""

COLUMNS = "id, tenant, channel, topic, message_id, content, created_at, state, attempts, error, finished_at"


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the outbox. `attempts` counts the tries begun; times are RFC 3339 in UTC."""

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

    @classmethod
    def from_row(cls, row: aiosqlite.Row) -> Message:
        values = dict(zip(row.keys(), row, strict=True))
        values["channel"] = Channel(values["channel"])
        values["content"] = json.loads(values["content"])
        return cls(**values)

    def to_json(self) -> dict[str, object]:
        """What the command line shows of it."""
        names = ("id", "channel", "topic", "state", "attempts", "error", "created_at", "finished_at")
        return {name: getattr(self, name) for name in names}


class Outbox:
    """The outbox in headcount.db. Methods raise TryAgain when it can't be read or written now."""

    def __init__(self, ledger: Ledger, clock: Clock = utc_now, retries: Retries = THREE_DAYS) -> None:
        self._ledger = ledger
        self._clock = clock
        self._retries = retries

    async def put(self, notices: Iterable[Notice]) -> None:
        """Write notices that belong to no end of an import; a topic that was told already is left out."""
        now = rfc3339(self._clock())
        await self._ledger.at_once(lambda db: put_in_outbox(db, notices, now))

    async def close_topic(self, tenant: str, topic: str) -> None:
        """What was told under `topic` is not so any more: told again, it is news. What is not sent yet is dropped."""
        told = await self._ledger.read("SELECT 1 FROM outbox WHERE tenant = ? AND topic = ?", tenant, topic)
        if not told:
            return
        async with self._ledger.transaction():
            await self._ledger.db.execute(
                "UPDATE outbox SET state = 'dropped', finished_at = ?, error = 'it is not so any more'"
                " WHERE tenant = ? AND topic = ? AND state = 'waiting'",
                (rfc3339(self._clock()), tenant, topic),
            )
            await self._ledger.db.execute(
                "UPDATE outbox SET topic = 'was ' || topic || ' #' || id WHERE tenant = ? AND topic = ?",
                (tenant, topic),
            )

    async def due(self, channel: Channel) -> list[Message]:
        """What is to be tried now: of each tenant the oldest."""
        return await self._messages(
            f"SELECT {COLUMNS} FROM outbox WHERE id IN (SELECT min(id) FROM outbox WHERE state = 'waiting'"  # noqa: S608
            f" AND channel = ? AND NOT ({STILL_WAITS}) GROUP BY tenant) ORDER BY id",
            *(channel, *self._retries.waiting(self._clock().timestamp())),
        )

    async def begin(self, message: Message) -> Message | None:
        """A try begins: the message as it is now, its next try put off. None if it does not wait any more."""
        not_before = self._clock().timestamp() + self._retries.wait_s(message.attempts + 1)
        async with self._ledger.transaction():
            rows = await self._ledger.rows(
                "UPDATE outbox SET attempts = attempts + 1, not_before = ?"  # noqa: S608 - a constant
                f" WHERE id = ? AND state = 'waiting' RETURNING {COLUMNS}",
                *(not_before, message.id),
            )
        return next((Message.from_row(row) for row in rows), None)

    async def put_off(self, message: Message, wait_s: float) -> None:
        """A try that was begun could not be made: it does not count, and the next is due after `wait_s`."""
        await self._ledger.change(
            "UPDATE outbox SET attempts = attempts - 1, not_before = ? WHERE id = ? AND state = 'waiting'",
            *(self._clock().timestamp() + wait_s, message.id),
        )

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
            await self._ledger.change("UPDATE outbox SET error = ? WHERE id = ?", error, message.id)
        return ends

    async def lengths(self) -> dict[Channel, int]:
        """How many messages wait, by channel."""
        rows = await self._ledger.read(
            "SELECT channel, count(*) FROM outbox WHERE state = 'waiting' GROUP BY channel"
        )
        return dict.fromkeys(Channel, 0) | {Channel(row[0]): row[1] for row in rows}

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        """The newest messages to a tenant, whatever became of them."""
        return await self._messages(
            f"SELECT {COLUMNS} FROM outbox WHERE tenant = ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
            *(tenant, limit),
        )

    async def prune(self, ran_s: float) -> None:
        """Forget what is long over, and give up what could not be sent for days.

        The server ran for `ran_s` seconds since this was last asked: those count, and no step of the clock.
        """
        now = self._clock()
        await self._ledger.change("UPDATE outbox SET waited_s = waited_s + ? WHERE state = 'waiting'", ran_s)
        await self._ledger.change(
            "UPDATE outbox SET state = 'given_up', finished_at = ?, error = coalesce(error, 'it could not be sent')"
            " WHERE state = 'waiting' AND waited_s >= ?",
            *(rfc3339(now), NEVER_SENT.total_seconds()),
        )
        await self._ledger.change(
            "DELETE FROM outbox WHERE finished_at < ? AND topic NOT LIKE 'stale %'", rfc3339(now - KEPT)
        )

    async def _end(self, message: Message, state: str, error: str | None) -> None:
        await self._ledger.change(
            "UPDATE outbox SET state = ?, error = ?, finished_at = ? WHERE id = ? AND state = 'waiting'",
            *(state, error, rfc3339(self._clock()), message.id),
        )

    async def _messages(self, statement: str, *values: object) -> list[Message]:
        rows = await self._ledger.read(statement, *values)
        return [Message.from_row(row) for row in rows]
