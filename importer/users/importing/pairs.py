"""Users whom an import creates, beside deactivated ones who may be the same person.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class FoundPair(NamedTuple):
    """A new user, and a deactivated one: their identifiers, and the `value` of what they share.

    `shared` is `email`, `name` or the key of a custom field. `now`: this import has deactivated the old one.
    """

    new_id: int
    new: str
    old: str
    shared: str
    value: str
    now: bool


class FoundPairs(Protocol):
    """The pairs of one import, inside its transaction, found once. Each user is in one pair."""

    async def find_by_address(self, first_new_id: int) -> None:
        """Pair new users with those whose address this import has given them. From `first_new_id` on all are new."""

    async def find_by_fields(self, fields: Iterable[str], first_new_id: int) -> None:
        """Pair new users with those whom this import has deactivated.

        By one after the other of these custom fields, unless two active users share a value of it; then by full name.
        """

    async def has(self, user_id: int | None) -> bool:
        """Whether the deactivated user is in a pair. To be asked only when they were found, as `page` is."""

    async def page(self, after: int) -> list[FoundPair]:
        """The next pairs, of new users whose id comes after this one, in the order of ids."""
