"""The table `outbox`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from engine.outbox import Message
from engine.postgres.database import Database, Steps
from engine.postgres.rows import Row, stored
from engine.postgres.server.tenants import ID, hold
from importer.queue.notices import Channel, Notice

COLUMNS = (
    "id, (SELECT name FROM tenants WHERE tenants.id = tenant_id) AS tenant, channel, topic, message_id, content,"
    " created_at, state, attempts, error, finished_at"
)
# (An array, so that each message is one index lookup, whatever the planner knows.)
DUE = (
    f"SELECT {COLUMNS} FROM outbox WHERE id = ANY (ARRAY(SELECT min(id) FROM outbox WHERE state = 'waiting'"  # noqa: S608
    " AND channel = %s AND NOT (not_before > %s AND not_before <= %s) GROUP BY tenant_id)) ORDER BY id"
)


class PostgresOutboxStore:
    """An `engine.outbox.OutboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, notices: Iterable[Notice], *, now: str) -> None:
        async with self._database.transaction() as steps:
            await put_in_outbox(steps, notices, now)

    async def close_topic(self, tenant: str, topic: str, *, now: str) -> None:
        used = f"SELECT 1 FROM outbox WHERE tenant_id = {ID} AND topic = %s LIMIT 1"  # noqa: S608 - a constant
        if not await self._database.read(used, tenant, topic):
            return
        async with self._database.transaction() as steps:
            tenant_id = await hold(steps, tenant)
            await steps.change(
                "UPDATE outbox SET state = 'dropped', finished_at = %s, error = 'it is no longer true'"
                " WHERE tenant_id = %s AND topic = %s AND state = 'waiting'",
                *(now, tenant_id, topic),
            )
            await steps.change(
                "UPDATE outbox SET topic = 'was ' || topic || ' #' || id WHERE tenant_id = %s AND topic = %s",
                *(tenant_id, topic),
            )

    async def due(self, channel: Channel, waits: tuple[float, float]) -> list[Message]:
        return _messages(await self._database.read(DUE, channel, *waits))

    async def begin(self, number: int, *, not_before: float) -> Message | None:
        async with self._database.transaction() as steps:
            rows = await steps.rows(
                "UPDATE outbox SET attempts = attempts + 1, not_before = %s"  # noqa: S608 - a constant
                f" WHERE id = %s AND state = 'waiting' RETURNING {COLUMNS}",
                *(not_before, number),
            )
        return next(iter(_messages(rows)), None)

    async def put_off(self, number: int, *, not_before: float) -> None:
        await self._database.change(
            "UPDATE outbox SET attempts = attempts - 1, not_before = %s WHERE id = %s AND state = 'waiting'",
            *(not_before, number),
        )

    async def end(self, number: int, state: str, error: str | None, *, now: str) -> None:
        await self._database.change(
            "UPDATE outbox SET state = %s, error = %s, finished_at = %s WHERE id = %s AND state = 'waiting'",
            *(state, stored(error), now, number),
        )

    async def drop_waiting(self, why: str, *, now: str) -> None:
        await self._database.change(
            "UPDATE outbox SET state = 'dropped', error = %s, finished_at = %s WHERE state = 'waiting'", why, now
        )

    async def note(self, number: int, error: str) -> None:
        await self._database.change("UPDATE outbox SET error = %s WHERE id = %s", stored(error), number)

    async def lengths(self) -> dict[Channel, int]:
        rows = await self._database.read(
            "SELECT channel, count(*) FROM outbox WHERE state = 'waiting' GROUP BY channel"
        )
        return dict.fromkeys(Channel, 0) | {Channel(row[0]): row[1] for row in rows}

    async def owed(self, limit: int) -> list[Message]:
        return _messages(
            await self._database.read(
                f"SELECT {COLUMNS} FROM outbox WHERE state = 'waiting' ORDER BY id LIMIT %s",  # noqa: S608
                limit,
            )
        )

    async def newest(self, tenant: str, limit: int) -> list[Message]:
        return _messages(
            await self._database.read(
                f"SELECT {COLUMNS} FROM outbox WHERE tenant_id = {ID} ORDER BY id DESC LIMIT %s",  # noqa: S608
                *(tenant, limit),
            )
        )

    async def prune(self, ran_s: float, *, never_sent_s: float, now: str, before: str) -> None:
        await self._database.change("UPDATE outbox SET waited_s = waited_s + %s WHERE state = 'waiting'", ran_s)
        await self._database.change(
            "UPDATE outbox SET state = 'given_up', finished_at = %s, error = coalesce(error, 'it could not be sent')"
            " WHERE state = 'waiting' AND waited_s >= %s",
            *(now, never_sent_s),
        )
        await self._database.change("DELETE FROM outbox WHERE finished_at < %s AND topic NOT LIKE 'stale %%'", before)


async def put_in_outbox(steps: Steps, notices: Iterable[Notice], now: str) -> None:
    """Write `notices` inside the caller's transaction, except those whose topic was used already."""
    await steps.change_each(
        "INSERT INTO outbox (tenant_id, channel, topic, message_id, content, created_at)"  # noqa: S608 - a constant
        f" VALUES ({ID}, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, channel, topic) DO NOTHING",
        [(each.tenant, each.channel, each.topic, uuid.uuid4().hex, each.content, now) for each in notices],
    )


def _messages(rows: Iterable[Row]) -> list[Message]:
    return [
        Message(**{**dict(zip(row.keys(), row, strict=True)), "channel": Channel(row["channel"])}) for row in rows
    ]
