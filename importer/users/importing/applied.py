"""What is kept of an import beside the users: that it was applied, what it changed, and whom it invites.  Pure.

It is written in the import's own transaction, so that one that is rolled back leaves nothing of it and invites no
user. When and how invitations are sent is decided in server/notify.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from importer.model import Outcome
from importer.said.repeated import Note


@dataclass(frozen=True, slots=True)
class LastApplied:
    """What the next file is compared with: how many rows the last applied file had, and who was on its last row."""

    rows: int
    last_user: int | None


class ChangedUser(NamedTuple):
    """A user as this import leaves them, whether it has `created` them, and whether it has changed their state."""

    user_id: int
    email: str | None
    identifier: str | None
    name: str
    state: str
    created: bool
    moved: bool


class Applied(Protocol):
    """What is kept of one import, inside its transaction."""

    async def last(self) -> LastApplied | None:
        """What the file is compared with; None if no import is applied that could be."""

    async def header_notes(self) -> frozenset[Note]:
        """What was true of the header of the file that this one is compared with; nothing if it was undone."""

    async def deactivates_others(self, users: Collection[int]) -> bool:
        """Whether this import deactivates a user who is not among `users`."""

    async def former_admins(self) -> list[str]:
        """Up to three users who were active admins before this import, if none is active after it; else none."""

    def changed(self) -> AsyncIterator[list[ChangedUser]]:
        """Yield the users that this import has changed, in the order of ids."""

    async def invite(self) -> int:
        """Put active users whom this import created, or brought back, among those to invite; return their number.

        A user who was invited before is not again, nor is another user at an address that was; an invitation that was
        never delivered is tried anew.
        """

    async def record(
        self, outcome: Outcome, now: datetime, last_user: int | None, header: Iterable[Note], *, compared: bool
    ) -> None:
        """Remember the import as applied. After a crash this alone decides whether it happened.

        `compared`: later files are compared with this one, whose last row was about `last_user`, and of whose header
        the notes `header` are true.
        """
