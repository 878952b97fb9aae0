"""The invitations of one tenant: who is due, what became of them.

Asked at the moment of sending: the tenant's settings, whether the user is still active, the hire date and the time
zone as they are then. With `on_hire_date` an invitation is due from the first minute of that day where the user is
(without a time zone: in UTC); a user without a hire date is invited at once. Whoever is deactivated before is not
invited, unless they come back first; turning invitations off withdraws those that were not sent. An address where an
invitation was sent gets no other, under another user either: an invitation keeps the address it was sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import aiosqlite

from ground.moments import Clock, rfc3339
from importer.database import transaction
from importer.rules.emails import email_key
from server.notify.retries import STILL_WAITS, Retries

BATCH = 50
"""So many invitations of one tenant, then it is another's turn."""

NOWHERE_ELSE = (
    "NOT EXISTS (SELECT 1 FROM invitations AS other WHERE other.email_key = u.email_key AND other.state = 'sent')"
)
"""SQL: no invitation was sent to the address of the user `u`."""

USER = ("first_name", "last_name", "email", "job_title", "hire_date")


@dataclass(frozen=True, slots=True)
class Invitation:
    """One user to invite. `values` are what a template may name; `attempts` were begun before."""

    user_id: int
    message_id: str
    attempts: int
    language: str
    values: dict[str, str | None]


class Invitations:
    """The invitations in the open users.db `db`. Methods raise TryAgain while an import holds it."""

    def __init__(self, db: aiosqlite.Connection, clock: Clock, retries: Retries, *, on_hire_date: bool) -> None:
        self._db = db
        self._on_hire_date = on_hire_date
        self._clock = clock
        self._retries = retries

    async def waiting(self) -> int:
        """How many active users are not invited yet."""
        rows = await self._db.execute_fetchall(
            "SELECT count(*) FROM invitations AS i JOIN users AS u ON u.id = i.user_id"  # noqa: S608 - no values in it
            f" WHERE i.state = 'waiting' AND u.state = 'active' AND {NOWHERE_ELSE}"
        )
        return int(next(iter(rows))[0])

    async def withdraw(self) -> None:
        """Forget those that were not sent."""
        rows = await self._db.execute_fetchall("SELECT 1 FROM invitations WHERE state = 'waiting' LIMIT 1")
        if rows:
            async with transaction(self._db):
                await self._db.execute("DELETE FROM invitations WHERE state = 'waiting'")

    async def due(self) -> list[int]:
        """The ids of the first users who are to be invited now."""
        return [each.user_id for each in await self._due("ORDER BY i.not_before, i.user_id LIMIT ?", BATCH)]

    async def begin(self, user_id: int) -> Invitation | None:
        """A try begins, its next one put off: the invitation as it is now. None if this user is not due any more."""
        async with transaction(self._db):
            found = await self._due("AND i.user_id = ?", user_id)
            for each in found:
                not_before = self._clock().timestamp() + self._retries.wait_s(each.attempts + 1)
                await self._db.execute(
                    "UPDATE invitations SET attempts = attempts + 1, not_before = ? WHERE user_id = ?",
                    (not_before, user_id),
                )
        return next(iter(found), None)

    async def _due(self, which: str, *values: object) -> list[Invitation]:
        now = self._clock()
        await self._db.create_function("today_in", 1, _today(now))
        rows = await self._db.execute_fetchall(
            "SELECT i.user_id, i.message_id, i.attempts, u.language, u.first_name, u.last_name, u.email, u.job_title,"  # noqa: S608 - no values in it
            " u.hire_date FROM invitations AS i JOIN users AS u ON u.id = i.user_id"
            f" WHERE i.state = 'waiting' AND NOT ({STILL_WAITS}) AND u.state = 'active' AND u.email IS NOT NULL"
            f" AND {NOWHERE_ELSE}"
            f" AND (NOT ? OR u.hire_date IS NULL OR u.hire_date <= today_in(u.time_zone)) {which}",
            (*self._retries.waiting(now.timestamp()), self._on_hire_date, *values),
        )
        return [
            Invitation(row[0], row[1], row[2], row["language"], {name: row[name] for name in USER}) for row in rows
        ]

    async def sent(self, invitation: Invitation) -> None:
        await self._end(invitation, "sent", None)

    async def failed(self, invitation: Invitation, error: str, *, for_good: bool) -> bool:
        """A try failed; whether that was the last one."""
        ends = for_good or self._retries.end(invitation.attempts + 1)
        await self._end(invitation, "given_up" if ends else "waiting", error)
        return ends

    async def _end(self, invitation: Invitation, state: str, error: str | None) -> None:
        at = rfc3339(self._clock()) if state == "sent" else None
        mailed = email_key(invitation.values["email"] or "") if state == "sent" else None
        async with transaction(self._db):
            await self._db.execute(
                "UPDATE invitations SET state = ?, error = ?, sent_at = ?, email_key = coalesce(?, email_key)"
                " WHERE user_id = ? AND message_id = ?",
                (state, error, at, mailed, invitation.user_id, invitation.message_id),
            )


def _today(now: datetime) -> Callable[[str | None], str]:
    """The date of `now` in a time zone, as text."""

    @cache
    def today_in(time_zone: str | None) -> str:
        try:
            zone = ZoneInfo(time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        return now.astimezone(zone).date().isoformat()

    return today_in
