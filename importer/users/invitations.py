"""The invitations of one tenant: who is due, and what became of them.  Pure.

Asked at the moment of sending: whether the user is still active, the hire date and the time zone as they are then.
Where invitations wait for the hire date, one is due from the first minute of that day where the user is (without a
time zone: in UTC); a user without a hire date is invited at once. Users who are deactivated before are not invited,
unless they come back first. An address where an invitation was sent gets no other, under another user either: an
invitation keeps the address it was sent to.
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
    """One user to invite. `values` are what a template may name; `attempts` were begun before."""

    user_id: int
    message_id: str
    attempts: int
    language: str
    values: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """When it is asked who is due: at `now`.

    Whose next try is put off to a time within `waits` (seconds since 1970, the first excluded) still waits. With
    `on_hire_date` nobody is invited before it.
    """

    now: datetime
    waits: tuple[float, float]
    on_hire_date: bool


class Invitations(Protocol):
    """The invitations that were written down with the users. Methods raise TryAgain while an import writes."""

    async def waiting(self) -> int:
        """How many active users are not invited yet."""

    async def withdraw(self) -> None:
        """Forget those that were not sent."""

    async def due(self, asked: Asked, limit: int) -> list[int]:
        """The ids of the first users who are to be invited now."""

    async def begin(self, user_id: int, asked: Asked, next_try: Callable[[int], float]) -> Invitation | None:
        """A try begins: the invitation as it is now. None if this user is not due any more.

        Its next try is put off, and the try counted, before anything else can change the user: to what `next_try`
        says (seconds since 1970) of its number, counted from 1.
        """

    async def sent(self, invitation: Invitation, at: str) -> None:
        """It was sent at `at` (RFC 3339), to the address that it names: no other is sent there."""

    async def failed(self, invitation: Invitation, error: str, *, ends: bool) -> None:
        """A try failed; if it `ends`, that was the last one."""


def today_at(now: datetime) -> Callable[[str | None], str]:
    """The date of `now` in a time zone, as text."""

    @cache
    def today_in(time_zone: str | None) -> str:
        try:
            zone = ZoneInfo(time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        return now.astimezone(zone).date().isoformat()

    return today_in
