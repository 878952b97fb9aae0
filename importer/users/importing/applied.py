"""The stored data of an import beside the users: that it was applied, what it changed, the users it invites. Pure.

It is written in the import's own transaction, so an import that is rolled back leaves none of it and invites no user.
The package server.notify decides when and how invitations are sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from importer.messages.repeated import Note
from importer.model import Outcome


@dataclass(frozen=True, slots=True)
class LastApplied:
    """The newest applied file, which the next file is compared with.

    `rows` is its number of rows, `last_user` the user on its last row.
    """

    rows: int
    last_user: int | None


class ChangedUser(NamedTuple):
    """A user after this import; `created`: by this import; `moved`: it changed the state."""

    user_id: int
    email: str | None
    identifier: str | None
    name: str
    state: str
    created: bool
    moved: bool


class Applied(Protocol):
    """The stored data of one import, inside its transaction."""

    async def last(self) -> LastApplied | None:
        """Return what the file is compared with; None if there is no such applied import."""

    async def header_notes(self) -> frozenset[Note]:
        """Return the notes on the header of the file that this one is compared with.

        Returns none if that import was undone.
        """

    async def deactivates_others(self, users: Collection[int]) -> bool:
        """Return whether this import deactivates a user who is not in `users`."""

    async def former_admins(self) -> list[str]:
        """Return up to three users who were active admins before this import.

        Returns none if an admin is active after it.
        """

    def changed(self) -> AsyncIterator[list[ChangedUser]]:
        """Yield the users that this import has changed, in the order of ids."""

    async def invite(self) -> int:
        """Queue invitations for active users that this import created or reactivated; return their number.

        A user who was invited before is not invited again, nor is another user at an address that was invited. An
        invitation that was never delivered is tried again.
        """

    async def record(
        self, outcome: Outcome, now: datetime, last_user: int | None, header: Iterable[Note], *, compared: bool
    ) -> None:
        """Store the import as applied. After a crash only this record decides whether it was.

        With `compared` later files are compared with this one: its last row was about `last_user`, and the notes
        `header` are true of its header.
        """
