"""Who is told of what: the notices of an end, for those channels that the tenant has set.

An `importer.queue.notices.Herald`. What a notice says is fixed here, when it happens; where it goes is looked up when
it is sent. A tenant whose settings can't be read now gets a notice in every channel, and whoever sends looks again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import islice
from pathlib import Path

from ground.moments import rfc3339, utc_now
from importer.errors import DatabaseUnusable, TryAgain
from importer.folder import FolderOf
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.notices import Channel, Notice
from importer.said.grouping import Group
from importer.said.spool import grouped_in
from server.notify import letters
from server.notify.letters import LEAVERS_SHOWN, Letter
from server.tenants.settings import TenantSettings
from server.tenants.soundness import TenantBroken

log = logging.getLogger(__name__)

SettingsOf = Callable[[str], Awaitable[TenantSettings]]


class TenantHerald:
    """What to tell each tenant."""

    def __init__(self, folder_of: FolderOf, settings_of: SettingsOf) -> None:
        self._folder_of = folder_of
        self._settings_of = settings_of

    async def notices_of(self, entry: Entry) -> list[Notice]:
        """What to tell once `entry` has come to the end it shows; of dry runs, nothing."""
        event = letters.EVENTS.get(entry.state)
        channels = await self._channels(entry.tenant) if event and not entry.dry_run else []
        if not event or not channels:
            return []
        leavers: list[dict[str, object]] = []
        if entry.state is ImportState.HELD:
            leavers = await asyncio.to_thread(first_leavers, self._folder_of(entry.tenant).touched(entry.id))
        report = entry.report()
        said = await asyncio.to_thread(messages_of, self._folder_of(entry.tenant).said(entry.id))
        topic = f"import {entry.id} {entry.state}"
        body = letters.webhook_body(event, entry.finished_at or "", letters.import_data(report, leavers))
        return _notices(entry.tenant, channels, topic, letters.letter_of(report, leavers, said), body)

    async def stale_notices(self, tenant: str, days: int, last_applied_at: str | None) -> list[Notice]:
        """What to tell of a feed without a file for `days` days; once for each `last_applied_at` (RFC 3339)."""
        data = {"tenant": tenant, "stale_after_days": days, "last_applied_at": last_applied_at}
        body = letters.webhook_body(letters.STALE, rfc3339(utc_now()), data)
        letter = letters.stale_letter(tenant, days, last_applied_at)
        return _notices(tenant, await self._channels(tenant), stale_topic(last_applied_at), letter, body)

    async def test_notices(self, tenant: str, now: datetime) -> list[Notice]:
        """A test, in every channel that the tenant has set."""
        at = rfc3339(now)
        body = letters.webhook_body(letters.TEST, at, {"tenant": tenant})
        return _notices(tenant, await self._channels(tenant), f"test {at}", letters.test_letter(tenant), body)

    async def _channels(self, tenant: str) -> list[Channel]:
        try:
            settings = await self._settings_of(tenant)
        except TenantBroken:
            return [*Channel]
        except Exception as error:
            log.error(
                "The settings of %s can't be read: %s.",
                *(tenant, error),
                exc_info=None if isinstance(error, DatabaseUnusable | TryAgain) else error,
                extra={"event": "settings_unreadable", "tenant": tenant},
            )
            return [*Channel]
        return [channel for channel in Channel if destination(settings, channel)]


def stale_topic(last_applied_at: str | None) -> str:
    """What the notice of a feed is about that is stale since then (RFC 3339)."""
    return f"stale since {last_applied_at}"


def destination(settings: TenantSettings, channel: Channel) -> tuple[str, ...]:
    """Where a tenant wants to be told, now; nothing if it does not."""
    if channel is Channel.MAIL:
        return settings.notify_email
    return (settings.notify_webhook,) if settings.notify_webhook else ()


def first_leavers(touched: Path) -> list[dict[str, object]]:
    """The first users that a held import's list (`<id>.touched.jsonl`) shows as losing access."""
    try:
        with touched.open(encoding="utf-8") as lines:
            found = (json.loads(line) for line in lines)
            return list(islice((each for each in found if each["action"] == "deactivated"), LEAVERS_SHOWN))
    except OSError:
        return []


def messages_of(said: Path) -> list[Group] | None:
    """All that an import said (`<id>.jsonl`), told once each; None if it said nothing or that can't be read."""
    try:
        return grouped_in(said) or None
    except OSError:
        return None


def _notices(
    tenant: str, channels: list[Channel], topic: str, letter: Letter, body: dict[str, object]
) -> list[Notice]:
    contents = {Channel.MAIL: {"subject": letter.subject, "text": letter.text}, Channel.WEBHOOK: body}
    return [Notice(tenant, channel, topic, json.dumps(contents[channel], ensure_ascii=False)) for channel in channels]
