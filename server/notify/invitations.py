"""The invitations of one tenant over time: which are due now, and when a failed one is tried again.

Setting `invitations` to `off` withdraws those that were not sent.
"""

from __future__ import annotations

from ground.moments import Clock, rfc3339
from importer.users.invitations import Asked, Invitation, Invitations
from server.notify.retries import Retries

BATCH = 50
"""The most invitations of one tenant in a turn; then the next tenant follows."""


class DueInvitations:
    """The `invitations` of a tenant, tried as `retries` says. Methods raise TryAgain while an import writes."""

    def __init__(self, invitations: Invitations, clock: Clock, retries: Retries, *, on_hire_date: bool) -> None:
        self._invitations = invitations
        self._on_hire_date = on_hire_date
        self._clock = clock
        self._retries = retries

    async def waiting(self) -> int:
        """Return the number of active users whose invitation waits."""
        return await self._invitations.waiting()

    async def withdraw(self) -> None:
        """Delete the invitations that were not sent."""
        await self._invitations.withdraw()

    async def due(self) -> list[int]:
        """Return the ids of the first users whose invitation is due."""
        return await self._invitations.due(self._asked(), BATCH)

    async def begin(self, user_id: int) -> Invitation | None:
        """Begin an attempt, and set the time of the next one. Return the invitation; None if it is no longer due."""
        return await self._invitations.begin(user_id, self._asked(), self._next_try)

    async def sent(self, invitation: Invitation) -> None:
        await self._invitations.sent(invitation, rfc3339(self._clock()))

    async def failed(self, invitation: Invitation, error: str, *, for_good: bool) -> bool:
        """Record a failed attempt; return whether it was the last one."""
        ends = for_good or self._retries.end(invitation.attempts + 1)
        await self._invitations.failed(invitation, error, ends=ends)
        return ends

    def _asked(self) -> Asked:
        now = self._clock()
        return Asked(now, self._retries.waiting(now.timestamp()), self._on_hire_date)

    def _next_try(self, attempts: int) -> float:
        return self._clock().timestamp() + self._retries.wait_s(attempts)
