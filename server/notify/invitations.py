"""The invitations of one tenant by the clock: who is due now, and when what failed is tried again.

Turning invitations off withdraws those that were not sent.
"""

from __future__ import annotations

from ground.moments import Clock, rfc3339
from importer.users.invitations import Asked, Invitation, Invitations
from server.notify.retries import Retries

BATCH = 50
"""So many invitations of one tenant, then it is another's turn."""


class DueInvitations:
    """The `invitations` of a tenant, tried as `retries` says. Methods raise TryAgain while an import writes."""

    def __init__(self, invitations: Invitations, clock: Clock, retries: Retries, *, on_hire_date: bool) -> None:
        self._invitations = invitations
        self._on_hire_date = on_hire_date
        self._clock = clock
        self._retries = retries

    async def waiting(self) -> int:
        """How many active users are not invited yet."""
        return await self._invitations.waiting()

    async def withdraw(self) -> None:
        """Forget those that were not sent."""
        await self._invitations.withdraw()

    async def due(self) -> list[int]:
        """The ids of the first users who are to be invited now."""
        return await self._invitations.due(self._asked(), BATCH)

    async def begin(self, user_id: int) -> Invitation | None:
        """A try begins, its next one put off: the invitation as it is now. None if this user is not due any more."""
        return await self._invitations.begin(user_id, self._asked(), self._next_try)

    async def sent(self, invitation: Invitation) -> None:
        await self._invitations.sent(invitation, rfc3339(self._clock()))

    async def failed(self, invitation: Invitation, error: str, *, for_good: bool) -> bool:
        """A try failed; whether that was the last one."""
        ends = for_good or self._retries.end(invitation.attempts + 1)
        await self._invitations.failed(invitation, error, ends=ends)
        return ends

    def _asked(self) -> Asked:
        now = self._clock()
        return Asked(now, self._retries.waiting(now.timestamp()), self._on_hire_date)

    def _next_try(self, attempts: int) -> float:
        return self._clock().timestamp() + self._retries.wait_s(attempts)
