"""Writes the weekly digest of each company that set `notify_digest`: after Monday 06:00 UTC, or at the next start.

Once a week, it reads the settings of every tenant. The file `digests` in the data folder names the newest week whose
digests are all written, so a restart reads none again. After a crash in between, the topics of the outbox prevent a
second digest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import asdict
from datetime import timedelta

from ground.moments import Clock, rfc3339, utc_now
from importer.errors import TryAgain
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.notices import Channel, Notice
from server.notify.courier import IsOff, sending_is_on
from server.notify.digest import Week, digest_mail, week_before
from server.notify.herald import SettingsOf
from server.notify.layout import Links
from server.notify.outbox import Outbox
from server.notify.rendering import letter_from
from server.rounds import again, led, rest_s, set_within
from server.tenants.feeds import feed_of
from server.tenants.figures import pauses_in
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantRefused, TenantSettings
from server.tenants.soundness import TenantBroken
from server.tenants.tenants import Tenants
from server.trouble import Trouble, tell

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between two looks at the clock, and until a digest that could not be written is tried again."""

REST = 9.0
"""The pause after each tenant, as a multiple of the time that it took."""

HELD_LONGEST = timedelta(days=30)
"""An import that was uploaded longer before its week may have ended in it, but is not in the digest."""

PAGE = 100

WRITTEN = "digests"
"""The name of the mark with the newest week whose digests are written."""


class Weekly:
    """Writes digests between `start()` and `stop()`, except while `is_off`: they are written when sending is on."""

    def __init__(
        self,
        tenants: Tenants,
        listing: Listing,
        outbox: Outbox,
        settings_of: SettingsOf,
        links: Links,
        *,
        clock: Clock = utc_now,
        is_off: IsOff = sending_is_on,
    ) -> None:
        self._tenants = tenants
        self._listing = listing
        self._outbox = outbox
        self._settings_of = settings_of
        self._links = links
        self._clock = clock
        self._is_off = is_off
        self._leads = tenants.store.node.leads
        self._marks = tenants.home.marks
        self._week: Week | None = None
        self._left: list[str] = []
        self._trouble = Trouble(log, "The weekly digests cannot be written", {"event": "digests_unwritten"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(
            again(led(self._round, self._leads), self._failed, self._ending), name="digests"
        )

    async def stop(self) -> None:
        """Stop the work. The next start continues it."""
        self._ending.set()
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def write(self) -> None:
        """Write the digests of the newest week that are not written yet. Raises TryAgain, OSError."""
        week = week_before(self._clock())
        if week != self._week:
            if await self._marks.find(WRITTEN) == week.day:
                self._left = []
            else:
                tenants = await self._tenants.list()
                self._left = [each.name for each in tenants if each.created_at < rfc3339(week.ends)]
                if not self._left:
                    await self._note(week)
            self._week = week
        if self._left:
            await self._write_left(week)

    async def skip(self) -> None:
        """Write no digest of the newest week, for a server whose sending is off. Raises OSError."""
        await self._note(week_before(self._clock()))

    async def _write_left(self, week: Week) -> None:
        names, self._left = self._left, []
        while names and not self._ending.is_set():
            begun, name = time.monotonic(), names.pop()
            if not await self._write_one(name, week):
                self._left.append(name)
            await set_within(self._ending, rest_s(time.monotonic() - begun, REST))
        self._left += names
        if not self._left:
            await self._note(week)

    async def _note(self, week: Week) -> None:
        await self._marks.put(WRITTEN, week.day)

    async def _write_one(self, name: str, week: Week) -> bool:
        """Write the digest of one tenant, if it wants one; return whether that succeeded. Raises nothing."""
        try:
            settings = await self._settings_of(name)
            if settings.notify_digest != "off" and settings.notify_email:
                await self._outbox.put([await self._notice(name, settings, week)])
        except (TryAgain, TenantBroken):
            return False
        except Exception as error:
            if isinstance(error, TenantRefused) and error.code == "no_tenant":
                return True
            facts = {"event": "digest_unwritten", "tenant": name}
            tell(log, f"The weekly digest of {name} cannot be written", error, facts, then="retrying in a minute")
            return False
        return True

    async def _notice(self, name: str, settings: TenantSettings, week: Week) -> Notice:
        ended, held = await self._ended(name, week), await self._listing.held(name)
        newest = await self._listing.applied(name, 1)
        applied_at = newest[0].finished_at if newest else None
        days = settings.stale_after_days
        now, pauses = self._clock(), await pauses_in(self._tenants, name)
        feed = feed_of(await self._tenants.require(name), applied_at, days, now, pauses)
        stale_days = days if feed.stale and not feed.paused else None
        mail = digest_mail(name, week, ended, held, stale_days, self._links, pause_of(settings, now))
        content = json.dumps(asdict(letter_from(mail)), ensure_ascii=False)
        return Notice(name, Channel.MAIL, week.topic, content)

    async def _ended(self, name: str, week: Week) -> list[Entry]:
        """Return the imports that ended in `week`, newest first."""
        found: list[Entry] = []
        oldest, before = rfc3339(week.begins - HELD_LONGEST), None
        while page := await self._listing.page(name, limit=PAGE, before=before, messages=False):
            found += [entry for entry in page if week.has(entry)]
            before = page[-1].id
            if page[-1].uploaded_at < oldest:
                break
        return found

    async def _round(self) -> float:
        if await self._is_off():
            self._week = None  # `skip` may change what is due
        else:
            await self.write()
        return LOOK_S

    def _failed(self, error: Exception) -> float:
        self._trouble.met(error)
        return LOOK_S
