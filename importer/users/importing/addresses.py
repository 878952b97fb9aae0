"""Rows that change an address, set aside until all other rows are written. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from importer.users.columns import Columns


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that changes an address. `created`: it creates its user.

    `clash`: the user who has the address instead.
    """

    user_id: int
    line: int
    raw: str
    columns: Columns
    state: str
    settles: bool
    waiting: Mapping[str, str]
    old_email: str | None
    old_key: str | None
    created: bool
    clash: int | None = None


class Losing(NamedTuple):
    """A user who gives up the address to the row on `line`; `to_new`: that row's user is new."""

    user_id: int
    line: int
    to_new: bool


class RowsAside(Protocol):
    """The rows of one import that are set aside, inside its transaction. Pages are in the order of lines."""

    async def add(self, rows: Sequence[SetAside]) -> None:
        """Store these rows until the transaction ends, at most one of each user."""

    async def settle(self) -> list[Losing]:
        """Decide which rows clash, and free the addresses of the users of all others.

        - If several rows want one address, the first gets it; a row of a user who stays comes before a leaver's row.
        - A row clashes with an active user who keeps the address: one whose own row is not here, or clashes itself. A
          user who leaves by a row that is here keeps no address.

        Returns the users who still have an address that a row will get: deactivated users, and leavers.
        """

    def rejected(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that clash and whose users are to be active."""

    def leavers(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that clash and whose users leave."""

    def applicable(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that do not clash."""

    async def taken(self, email_keys: Iterable[str]) -> set[str]:
        """Return those of `email_keys` that a user has, or that a row set aside wants."""
