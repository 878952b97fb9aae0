"""Sends invitations: of a tenant when its import ends, and every `ROUND_S` of all tenants where some wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ground.moments import Clock, utc_now
from ground.waits import Growing
from importer.errors import TryAgain
from importer.model import APPLIED
from importer.queue.entry import Entry
from importer.users.invitations import Invitation
from importer.users.users import UsersOf
from server.notify.courier import HeldUp, IsOff, sending_is_on
from server.notify.herald import SettingsOf
from server.notify.invitations import DueInvitations
from server.notify.mail import Mailer, MailRefused, ServerAway
from server.notify.retries import THREE_DAYS, Retries
from server.notify.templates import choose, write
from server.rounds import Leads, again, insist, set_within
from server.tenants.settings import TenantSettings
from server.tenants.soundness import TenantBroken
from server.trouble import tell
from server.upkeep.metrics import Metrics

log = logging.getLogger(__name__)

ROUND_S = 60.0
"""Seconds between two visits to all tenants where invitations wait: a hire date or a retry may be due."""

LOOK_S = 1.0
"""Seconds between two looks at whether sending is on again."""

MEASURE_S = 5.0

BUSY_S = 0.2
"""Do not wait for a running import: its end starts another visit."""

AWAY = Growing(10.0, 300.0)
"""The waits for a mail server that cannot be reached."""

CHANNEL = "invitation"
TenantNames = Callable[[], Awaitable[list[str]]]


class Inviter:
    """Sends invitations between `start()` and `stop()`, except while `is_off`. Only the server that `leads` sends.

    Satisfies `importer.worker.closing.Watcher`.
    """

    def __init__(
        self,
        tenants: TenantNames,
        settings_of: SettingsOf,
        users_of: UsersOf,
        mailer: Mailer,
        metrics: Metrics,
        *,
        clock: Clock = utc_now,
        retries: Retries = THREE_DAYS,
        round_s: float = ROUND_S,
        away: Growing = AWAY,
        public_url: str | None = None,
        is_off: IsOff = sending_is_on,
        leads: Leads = lambda: True,
    ) -> None:
        self._tenants = tenants
        self._settings_of = settings_of
        self._users_of = users_of
        self._mailer = mailer
        self._metrics = metrics
        self._clock = clock
        self._retries = retries
        self._round_s = round_s
        self._away_waits = away
        self._public_url = public_url
        self._sending_is_off = is_off
        self._leads = leads
        self._was_off = False
        self._all_due_at = 0.0
        self._measure_at = 0.0
        self._ended: set[str] = set()
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._waiting: dict[str, int] = {}

    async def ended(self, entry: Entry, duration_s: float | None) -> None:
        """Visit the tenant of an applied import soon: it may have users to invite."""
        if entry.state in APPLIED and not entry.dry_run:
            self._ended.add(entry.tenant)
            self._news.set()

    def start(self) -> None:
        self._loop = asyncio.create_task(again(self._round, HeldUp(), self._ending), name="invitations")

    async def stop(self, grace_s: float) -> None:
        """Start no more invitations, and give the one in progress `grace_s` to end. Else it is sent again later."""
        self._ending.set()
        self._news.set()
        if self._loop:
            await asyncio.wait([self._loop], timeout=grace_s)
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self._mailer.close()

    async def _round(self) -> float:
        """Visit the tenants that may have users to invite until none is left; then wait for the next visit."""
        if self._was_off and not await self._is_off():
            self._all_due_at = 0.0
        self._was_off = await self._is_off()
        turn: set[str] = set()
        away_times = 0
        while (turn := turn | self._just_ended() | await self._all_waiting()) and not self._ending.is_set():
            try:
                turn = {tenant for tenant in sorted(turn) if await self._visit(tenant)}
            except ServerAway as error:
                log.warning("No invitation can be sent: %s; retrying.", error, extra={"event": "mail_server_away"})
                away_times += 1
                await set_within(self._ending, self._away_waits.after(away_times))
        await self._mailer.leave()
        if self._ending.is_set():
            return 0
        wait_s = max(0.0, self._all_due_at - time.monotonic())
        await set_within(self._news, min(LOOK_S, wait_s) if self._was_off else wait_s)
        return 0

    async def _is_off(self) -> bool:
        return not self._leads() or await self._sending_is_off()

    async def _all_waiting(self) -> set[str]:
        """Return all tenants where invitations wait if `ROUND_S` has passed, else none."""
        if time.monotonic() < self._all_due_at:
            return set()
        self._all_due_at = time.monotonic() + self._round_s
        waiting = set(await self._tenants())
        self._waiting = {tenant: self._waiting.get(tenant, 0) for tenant in waiting}
        self._metrics.outbox_length.labels(CHANNEL).set(sum(self._waiting.values()))
        return waiting

    def _just_ended(self) -> set[str]:
        self._news.clear()
        ended, self._ended = self._ended, set()
        return ended

    async def _visit(self, tenant: str) -> bool:
        """Send the first due invitations of a tenant; return whether more may be due. Raises ServerAway."""
        try:
            return await self._send_some(tenant, await self._settings_of(tenant))
        except TryAgain:
            return False  # an import is running; its end starts another visit
        except ServerAway:
            raise
        except TenantBroken:
            return False
        except Exception as error:
            facts = {"event": "invitations_unsent", "tenant": tenant}
            tell(log, f"The invitations of {tenant} cannot be sent", error, facts, then="retrying")
            return False

    async def _send_some(self, tenant: str, settings: TenantSettings) -> bool:
        async with self._users_of(tenant).invitations(BUSY_S) as opened:
            on_hire_date = settings.invitations == "on_hire_date"
            invitations = DueInvitations(opened, self._clock, self._retries, on_hire_date=on_hire_date)
            if settings.invitations == "off":
                await invitations.withdraw()
            wanted = settings.invitations != "off" and not await self._is_off()
            due = await invitations.due() if wanted else []
            try:
                for user_id in due:
                    if self._ending.is_set() or await self._is_off():
                        break
                    if invitation := await invitations.begin(user_id):
                        await self._send(tenant, settings, invitations, invitation)
            finally:
                await self._measure(tenant, invitations, at_once=not due)
            return bool(due)

    async def _measure(self, tenant: str, invitations: DueInvitations, *, at_once: bool) -> None:
        """Count the waiting invitations; while many are sent, only every `MEASURE_S`."""
        if not at_once and time.monotonic() < self._measure_at:
            return
        self._measure_at = time.monotonic() + MEASURE_S
        self._waiting[tenant] = await invitations.waiting()
        self._metrics.outbox_length.labels(CHANNEL).set(sum(self._waiting.values()))

    async def _send(
        self, tenant: str, settings: TenantSettings, invitations: DueInvitations, invitation: Invitation
    ) -> None:
        template = choose(settings.invitation_templates, invitation.language, self._public_url)
        letter = write(template, {**invitation.values, "tenant": tenant})
        try:
            await self._mailer.send([invitation.values["email"] or ""], letter, invitation.message_id)
        except (MailRefused, ServerAway) as error:
            for_good = isinstance(error, MailRefused) and error.for_good
            ended = await invitations.failed(invitation, str(error), for_good=for_good)
            self._tell(tenant, invitation, "given_up" if ended else "failed", str(error))
            if isinstance(error, ServerAway):
                raise
        else:
            await insist(lambda: invitations.sent(invitation), self._ending)
            self._tell(tenant, invitation, "sent")

    def _tell(self, tenant: str, invitation: Invitation, result: str, why: str = "") -> None:
        self._metrics.delivered(CHANNEL, result)
        ids = {"tenant": tenant, "user_id": invitation.user_id, "attempts": invitation.attempts + 1}
        if result == "sent":
            log.info("A user of %s was invited.", tenant, extra={"event": "invited", **ids})
        else:
            then = "giving up" if result == "given_up" else "retrying"
            log.warning(
                "A user of %s could not be invited: %s; %s.",
                *(tenant, why, then),
                extra={"event": "invitation_failed", **ids},
            )
