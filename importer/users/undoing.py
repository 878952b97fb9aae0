"""What the undo of an import asks of the users, and what it writes.  Pure."""

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
    """Some of the users that an import changed, and what it changed of each, by id.

    Users that were removed since are only in `changes`. `share`, 0 to 1, is how far the last of them is.
    """

    changes: Mapping[int, Sequence[Change]]
    users: Mapping[int, User]
    share: float


@dataclass(frozen=True, slots=True)
class AddressLeft:
    """A user whose address is not put back: `taken` if another has the former one, else it was changed since."""

    user: User
    former: str
    taken: bool


@dataclass(frozen=True, slots=True)
class AddressesBack:
    """The ids of the users who have their former address again, and those who have not."""

    back: frozenset[int]
    left: Sequence[AddressLeft]


class Undoing(Protocol):
    """One import, while it is undone. All that is written here is kept, or nothing of it.

    What is written is in the history as the undo of this import. The order is: creations, fields, addresses, record.
    """

    async def outcome(self) -> tuple[Outcome, bool] | None:
        """What the import came to, and whether it was undone; None if that is not kept any more."""

    async def newest(self) -> int | None:
        """The newest applied import that changed a user and is not undone; None if there is none."""

    async def take_back_creations(self) -> tuple[list[User], int]:
        """Deactivate the users it had created, unknown to later imports; return the protected ones, who stay.

        And the number of those that were deactivated.
        """

    def batches(self) -> AsyncIterator[Batch]:
        """The users of whom it changed a field, by id. A field that it changed twice is there once, from its first
        value to its last."""

    async def existing(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
        """Those of the `wanted` people, teams and locations that are there; both by the column of LINKED."""

    async def update(self, changes: Sequence[tuple[User, Columns]]) -> None:
        """Write these columns of these users, with their history."""

    async def put_back_addresses(self) -> AddressesBack:
        """Give back the addresses that it changed, all together, as they may have moved from one user to the next.

        Those get theirs who still have what the import gave them, unless another user keeps the former one. It is
        asked once, after all batches.
        """

    async def active(self) -> int:
        """How many users are active."""

    async def record(self, outcome: Outcome, now: datetime) -> None:
        """Remember the import as undone. After a crash this alone decides whether it was."""
