"""The table `outbox`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from engine.postgres.database import Steps
from engine.postgres.server.tenants import ID
from importer.queue.notices import Notice


async def put_in_outbox(steps: Steps, notices: Iterable[Notice], now: str) -> None:
    """Write `notices` inside the caller's transaction, except those whose topic was used already."""
    await steps.change_each(
        "INSERT INTO outbox (tenant_id, channel, topic, message_id, content, created_at)"  # noqa: S608 - a constant
        f" VALUES ({ID}, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, channel, topic) DO NOTHING",
        [(each.tenant, each.channel, each.topic, uuid.uuid4().hex, each.content, now) for each in notices],
    )
