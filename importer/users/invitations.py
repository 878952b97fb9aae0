"""The invitations of one tenant: which users are due, and the results of sending. Pure.

All conditions are checked when an invitation is sent: the user is still active, the hire date and the time zone. If
invitations wait for the hire date, one is due from the first minute of that day in the user's time zone (without one:
in UTC). A user without a hire date is invited at once.

A user who is deactivated earlier is not invited, unless reactivated first. An address that got an invitation gets no
other, under another user either: an invitation keeps the address it was sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True)
class Invitation:
    """One user to invite. `values` are the values a template may use; `attempts` counts the earlier tries."""

    user_id: int
    message_id: str
    attempts: int
    language: str
    values: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """The moment `now` for which due invitations are asked.

    A user whose next try is scheduled within `waits` (seconds since 1970, the first excluded) still waits. With
    `on_hire_date` no user is invited before the hire date.
    """

    now: datetime
    waits: tuple[float, float]
    on_hire_date: bool


class Invitations(Protocol):
    """The invitations that are stored with the users. Methods raise TryAgain while an import writes."""

    async def waiting(self) -> int:
        """Return how many active users are not invited yet."""

    async def withdraw(self) -> None:
        """Delete the invitations that were not sent."""

    async def due(self, asked: Asked, limit: int) -> list[int]:
        """Return the ids of the first users who are due now."""

    async def begin(self, user_id: int, asked: Asked, next_try: Callable[[int], float]) -> Invitation | None:
        """Begin a try: return the invitation as it is now. None if this user is no longer due.

        In the same transaction the try is counted and the next one scheduled, at what `next_try` returns (seconds
        since 1970) for the number of the try, from 1. No other change of the user comes between.
        """

    async def sent(self, invitation: Invitation, at: str) -> None:
        """Store that it was sent at `at` (RFC 3339) to the address that it names: no other is sent there."""

    async def failed(self, invitation: Invitation, error: str, *, ends: bool) -> None:
        """Store that a try failed; with `ends` it was the last one."""


def today_at(now: datetime) -> Callable[[str | None], str]:
    """Return a function that gives the date of `now` in a time zone, as text."""

    @cache
    def today_in(time_zone: str | None) -> str:
        try:
            zone = ZoneInfo(time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        return now.astimezone(zone).date().isoformat()

    return today_in
