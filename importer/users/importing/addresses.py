"""Rows that change an address, set aside until all others are in.  Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from importer.users.columns import Columns


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that changes an address. `created`: it creates its user. `clash`: who has the address instead."""

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
    """A user who loses the address to the row on `line`, whose user is new or not."""

    user_id: int
    line: int
    to_new: bool


class RowsAside(Protocol):
    """The rows of one import that are set aside, inside its transaction. Pages are in the order of lines."""

    async def add(self, rows: Sequence[SetAside]) -> None:
        """Keep these rows until the transaction ends, one of each user."""

    async def settle(self) -> list[Losing]:
        """Decide which rows clash, and free the addresses of the users of all others.

        - Of the rows that want one address the first stands; a leaver's gives way to one that is not.
        - A row clashes with an active user who keeps the address: whose own row is not here, or clashes itself. Who
          leaves by a row that is here keeps none.

        Returns who has an address still that a row will get: deactivated users, and those who leave.
        """

    def rejected(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that clash and whose users are to be active."""

    def leavers(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that clash and whose users leave."""

    def applicable(self) -> AsyncIterator[list[SetAside]]:
        """Yield the rows that do not clash."""

    async def taken(self, email_keys: Iterable[str]) -> set[str]:
        """Those of `email_keys` that a user has, or a row set aside wants."""
