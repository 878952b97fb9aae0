"""Creates the notifications of an event, one for each channel that the tenant has set.

It implements `importer.queue.notices.Herald` and `server.runs.ending.RunHerald`. The text is fixed here, when the
event happens; the address is read when the notification is sent. If the settings of a tenant cannot be read now, a
notification is written for every channel, and the sender reads the settings again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path

from engine.runs import Run
from ground.moments import rfc3339, utc_now
from importer.archive import LOCAL, Archive
from importer.errors import DatabaseUnusable, TryAgain
from importer.folder import FolderOf
from importer.messages.grouping import Group
from importer.messages.spool import groups_in
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.notices import Channel, Notice
from importer.queue.pause import Pause
from server.notify import letters, run_letters
from server.notify.layout import Body, Links
from server.notify.letters import LEAVERS_SHOWN
from server.notify.rendering import letter_from
from server.tenants.settings import TenantSettings
from server.tenants.soundness import TenantBroken

log = logging.getLogger(__name__)

SettingsOf = Callable[[str], Awaitable[TenantSettings]]


class TenantHerald:
    """The notifications of all tenants. Mails link to pages below `public_url`; without it they have no links."""

    def __init__(
        self,
        folder_of: FolderOf,
        settings_of: SettingsOf,
        public_url: str | None = None,
        archive: Archive = LOCAL,
    ) -> None:
        self._folder_of = folder_of
        self._archive = archive
        self._settings_of = settings_of
        self._links = Links(public_url)

    async def notices_of(self, entry: Entry) -> list[Notice]:
        """Return the notifications of the end of `entry`; none for a dry run."""
        event = letters.EVENTS.get(entry.state)
        channels = await self._channels(entry.tenant) if event and not entry.dry_run else []
        if not event or not channels:
            return []
        leavers: list[dict[str, object]] = []
        folder = self._folder_of(entry.tenant)
        await self._archive.fetch(folder, folder.said(entry.id))
        if entry.state is ImportState.HELD:
            await self._archive.fetch(folder, folder.touched(entry.id))
            leavers = await asyncio.to_thread(first_leavers, folder.touched(entry.id))
        report = entry.report()
        messages = await asyncio.to_thread(messages_of, folder.said(entry.id))
        topic = f"import {entry.id} {entry.state}"
        body = letters.webhook_body(event, entry.finished_at or "", letters.import_data(report, leavers))
        mail = letters.mail_of(report, leavers, messages, self._links)
        return _notices(entry.tenant, channels, topic, mail, body)

    async def notices_of_run(self, run: Run) -> list[Notice]:
        """Return the notifications of the end of a run; one topic for each end, because a run may fail again.

        There is a mail only about an end that needs work.
        """
        event = run_letters.EVENTS.get(run.state)
        mail = run_letters.run_mail(run, self._links)
        channels = await self._channels(run.tenant) if event else []
        if not event or not channels:
            return []
        ended = run.finished_at or ""
        body = letters.webhook_body(event, ended, run_letters.run_data(run))
        topic = f"run {run.id} {run.state} {ended}".strip()
        return _notices(run.tenant, channels, topic, mail, body)

    async def stale_notices(self, tenant: str, days: int, last_applied_at: str | None) -> list[Notice]:
        """Return the notifications of a feed without a file for `days` days; one topic for each `last_applied_at`."""
        data = {"tenant": tenant, "stale_after_days": days, "last_applied_at": last_applied_at}
        body = letters.webhook_body(letters.STALE, rfc3339(utc_now()), data)
        mail = letters.stale_mail(tenant, days, last_applied_at, self._links)
        return _notices(tenant, await self._channels(tenant), stale_topic(last_applied_at), mail, body)

    async def pause_notices(self, tenant: str, pause: Pause, files: int) -> list[Notice]:
        """Return the notifications of a pause that ends soon, while `files` wait; one topic for each end."""
        until = pause.ends_at
        data = {"tenant": tenant, "paused_until": until, "paused_because": pause.because or None, "waiting": files}
        body = letters.webhook_body(letters.PAUSE_ENDING, rfc3339(utc_now()), data)
        mail = letters.pause_mail(tenant, until, pause.because, files, self._links)
        return _notices(tenant, await self._channels(tenant), f"pause until {until}", mail, body)

    async def test_notices(self, tenant: str, now: datetime) -> list[Notice]:
        """Return a test notification for every channel that the tenant has set."""
        at = rfc3339(now)
        body = letters.webhook_body(letters.TEST, at, {"tenant": tenant})
        mail = letters.delivery_test_mail(tenant, self._links)
        return _notices(tenant, await self._channels(tenant), f"test {at}", mail, body)

    async def _channels(self, tenant: str) -> list[Channel]:
        try:
            settings = await self._settings_of(tenant)
        except TenantBroken:
            return [*Channel]
        except Exception as error:
            log.error(
                "Settings of %s cannot be read: %s.",
                *(tenant, error),
                exc_info=None if isinstance(error, DatabaseUnusable | TryAgain) else error,
                extra={"event": "settings_unreadable", "tenant": tenant},
            )
            return [*Channel]
        return [channel for channel in Channel if destination(settings, channel)]


def stale_topic(last_applied_at: str | None) -> str:
    """Return the topic of the notification of a feed that is stale since this time (RFC 3339)."""
    return f"stale since {last_applied_at}"


def destination(settings: TenantSettings, channel: Channel) -> tuple[str, ...]:
    """Return the current addresses of a channel; none if the tenant has not set it."""
    if channel is Channel.MAIL:
        return settings.notify_email
    return (settings.notify_webhook,) if settings.notify_webhook else ()


def first_leavers(touched: Path) -> list[dict[str, object]]:
    """Return the first users to deactivate in the list of a held import (`<id>.touched.jsonl`)."""
    try:
        with touched.open(encoding="utf-8") as lines:
            found = (json.loads(line) for line in lines)
            return list(islice((each for each in found if each["action"] == "deactivated"), LEAVERS_SHOWN))
    except OSError:
        return []


def messages_of(file: Path) -> list[Group] | None:
    """Return all messages of an import (`<id>.jsonl`), grouped; None if there are none or they cannot be read."""
    try:
        return groups_in(file) or None
    except OSError:
        return None


def _notices(
    tenant: str, channels: list[Channel], topic: str, mail: Body | None, body: dict[str, object]
) -> list[Notice]:
    contents: dict[Channel, dict[str, object]] = {Channel.WEBHOOK: body}
    if mail:
        contents[Channel.MAIL] = asdict(letter_from(mail))
    return [
        Notice(tenant, channel, topic, json.dumps(contents[channel], ensure_ascii=False))
        for channel in channels
        if channel in contents
    ]
