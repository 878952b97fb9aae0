"""New users of an import, paired with deactivated users who may be the same person. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class FoundPair(NamedTuple):
    """A new user and a deactivated one: their identifiers, and the `value` that they share.

    `shared` is `email`, `name` or the key of a custom field. `now`: this import deactivated the old one.
    """

    new_id: int
    new: str
    old: str
    shared: str
    value: str
    now: bool


class FoundPairs(Protocol):
    """The pairs of one import, inside its transaction, found once. Each user is in at most one pair."""

    async def find_by_address(self, first_new_id: int) -> None:
        """Pair new users with those whose address this import gave them. Users from `first_new_id` on are new."""

    async def find_by_fields(self, fields: Iterable[str], first_new_id: int) -> None:
        """Pair new users with users that this import deactivated.

        By each of these custom fields in turn, unless two active users share a value of it; then by full name.
        """

    async def has(self, user_id: int | None) -> bool:
        """Return whether the deactivated user is in a pair. Call it and `page` only after the pairs were found."""

    async def page(self, after: int) -> list[FoundPair]:
        """Return the next pairs, of new users whose id is above this one, in the order of ids."""
