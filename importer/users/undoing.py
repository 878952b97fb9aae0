"""The users while an import is undone: what the undo reads and writes. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from importer.model import Outcome
from importer.users.columns import Columns, User


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a user that an import changed; `field` is a column of users."""

    field: str
    old: str | int | None
    new: str | int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the users that an import changed, and the changes of each, by id.

    Users that were removed since are only in `changes`. `share`, 0 to 1, is the part of the undo read by then.
    """

    changes: Mapping[int, Sequence[Change]]
    users: Mapping[int, User]
    share: float


@dataclass(frozen=True, slots=True)
class AddressKept:
    """A user whose address is not set back: another user has the former one (`taken`), or it was changed since."""

    user: User
    former: str
    taken: bool


@dataclass(frozen=True, slots=True)
class AddressesSetBack:
    """The ids of the users who have their former address again, and the users who keep their present one."""

    set_back: frozenset[int]
    kept: Sequence[AddressKept]


class Undoing(Protocol):
    """One import while it is undone. All that is written here is committed, or none of it.

    The writes go into the history as the undo of this import. Call in this order: creations, fields, addresses,
    record.
    """

    async def outcome(self) -> tuple[Outcome, bool] | None:
        """Return the outcome of the import, and whether it was undone; None if that is no longer stored."""

    async def newest(self) -> int | None:
        """Return the newest applied import that changed a user and is not undone; None if there is none."""

    async def deactivate_created(self) -> tuple[list[User], int]:
        """Deactivate the users that it created, and make them unknown to later imports; protected ones stay.

        Returns the protected users, and the number of users that were deactivated.
        """

    def batches(self) -> AsyncIterator[Batch]:
        """Yield the users with a changed field, by id.

        A field that the import changed twice is there once, with its first old and its last new value.
        """

    async def existing(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
        """Return those of the `wanted` users, teams and locations that exist; both are by the columns of LINKED."""

    async def update(self, changes: Sequence[tuple[User, Columns]]) -> None:
        """Write these columns of these users, with their history."""

    async def set_back_addresses(self) -> AddressesSetBack:
        """Set back the addresses that it changed, all together: they may have moved from one user to another.

        A user gets the former address only if the present one is the one the import set, and no other user keeps the
        former one. Call once, after all batches.
        """

    async def active(self) -> int:
        """Return how many users are active."""

    async def record(self, outcome: Outcome, now: datetime) -> None:
        """Store the import as undone. After a crash only this record decides whether it was."""
