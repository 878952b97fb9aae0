"""The table `outbox`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable

import aiosqlite

from engine.outbox import Message
from engine.sqlite.server.ledger import Inside, Ledger
from engine.sqlite.waits import STILL_WAITS
from importer.queue.notices import Channel, Notice

COLUMNS = "id, tenant, channel, topic, message_id, content, created_at, state, attempts, error, finished_at"


class SqliteOutboxStore:
    """An `engine.outbox.OutboxStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def put(self, notices: Iterable[Notice], *, now: str) -> None:
        await self._ledger.at_once(lambda db: put_in_outbox(db, notices, now))

    async def close_topic(self, tenant: str, topic: str, *, now: str) -> None:
        used = await self._ledger.read("SELECT 1 FROM outbox WHERE tenant = ? AND topic = ?", tenant, topic)
        if not used:
            return
        async with self._ledger.transaction():
            await self._ledger.db.execute(
                "UPDATE outbox SET state = 'dropped', finished_at = ?, error = 'it is no longer true'"
                " WHERE tenant = ? AND topic = ? AND state = 'waiting'",
                (now, tenant, topic),
            )
            await self._ledger.db.execute(
                "UPDATE outbox SET topic = 'was ' || topic || ' #' || id WHERE tenant = ? AND topic = ?",
                (tenant, topic),
            )

    async def due(self, channel: Channel, waits: tuple[float, float]) -> list[Message]:
        return await self._messages(
            f"SELECT {COLUMNS} FROM outbox WHERE id IN (SELECT min(id) FROM outbox WHERE state = 'waiting'"  # noqa: S608
            f" AND channel = ? AND NOT ({STILL_WAITS}) GROUP BY tenant) ORDER BY id",
            *(channel, *waits),
        )

    async def begin(self, number: int, *, not_before: float) -> Message | None:
        async with self._ledger.transaction():
            rows = await self._ledger.rows(
                "UPDATE outbox SET attempts = attempts + 1, not_before = ?"  # noqa: S608 - a constant
                f" WHERE id = ? AND state = 'waiting' RETURNING {COLUMNS}",
                *(not_before, number),
            )
        return next(map(_message, rows), None)

    async def put_off(self, number: int, *, not_before: float) -> None:
        await self._ledger.change(
            "UPDATE outbox SET attempts = attempts - 1, not_before = ? WHERE id = ? AND state = 'waiting'",
            *(not_before, number),
        )

    async def end(self, number: int, state: str, error: str | None, *, now: str) -> None:
        await self._ledger.change(
            "UPDATE outbox SET state = ?, error = ?, finished_at = ? WHERE id = ? AND state = 'waiting'",
            *(state, error, now, number),
        )

    async def drop_waiting(self, why: str, *, now: str) -> None:
        await self._ledger.change(
            "UPDATE outbox SET state = 'dropped', error = ?, finished_at = ? WHERE state = 'waiting'", *(why, now)
        )

    async def note(self, number: int, error: str) -> None:
        await self._ledger.change("UPDATE outbox SET error = ? WHERE id = ?", error, number)

    async def lengths(self) -> dict[Channel, int]:
        rows = await self._ledger.read(
            "SELECT channel, count(*) FROM outbox WHERE state = 'waiting' GROUP BY channel"
        )
        return dict.fromkeys(Channel, 0) | {Channel(row[0]): row[1] for row in rows}

    async def owed(self, limit: int) -> list[Message]:
        return await self._messages(
            f"SELECT {COLUMNS} FROM outbox WHERE state = 'waiting' ORDER BY id LIMIT ?",  # noqa: S608 - a constant
            limit,
        )

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        return await self._messages(
            f"SELECT {COLUMNS} FROM outbox WHERE tenant = ? ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
            *(tenant, limit),
        )

    async def prune(self, ran_s: float, *, never_sent_s: float, now: str, before: str) -> None:
        await self._ledger.change("UPDATE outbox SET waited_s = waited_s + ? WHERE state = 'waiting'", ran_s)
        await self._ledger.change(
            "UPDATE outbox SET state = 'given_up', finished_at = ?, error = coalesce(error, 'it could not be sent')"
            " WHERE state = 'waiting' AND waited_s >= ?",
            *(now, never_sent_s),
        )
        await self._ledger.change("DELETE FROM outbox WHERE finished_at < ? AND topic NOT LIKE 'stale %'", before)

    async def _messages(self, statement: str, *values: object) -> list[Message]:
        return [_message(row) for row in await self._ledger.read(statement, *values)]


def put_in_outbox(db: Inside, notices: Iterable[Notice], now: str) -> None:
    """Write `notices` inside the caller's transaction of headcount.db, except those whose topic was used already."""
    db.executemany(
        "INSERT INTO outbox (tenant, channel, topic, message_id, content, created_at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, channel, topic) DO NOTHING",
        [(each.tenant, each.channel, each.topic, uuid.uuid4().hex, each.content, now) for each in notices],
    )


def _message(row: aiosqlite.Row) -> Message:
    values = dict(zip(row.keys(), row, strict=True))
    values["channel"] = Channel(values["channel"])
    values["content"] = json.loads(values["content"])
    return Message(**values)
