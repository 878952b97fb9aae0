"""Managers and coaches as they are stored, and those that wait for the end of an import. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Waiting:
    """A user whose links wait for the end of the import: texts by `manager` and `coach`.

    `changed`: the import has counted this user as changed already.
    """

    user_id: int
    line: int
    texts: Mapping[str, str]
    settles: bool
    changed: bool
    created: bool


class ToDeactivated(NamedTuple):
    """An active user with a link to a deactivated one (`target`), as shown to people."""

    user_id: int
    user: str | None
    target: str | None


class StoredLinks(Protocol):
    """The links of one import, inside its transaction."""

    async def wait(self, waiting: Sequence[Waiting]) -> None:
        """Store these until the transaction ends, each line once."""

    async def waiting(self, after: int) -> list[Waiting]:
        """Return the next waiting users after this line, in the order of lines; an empty list: there are no more."""

    async def link_new(self, links: Sequence[tuple[int | None, int | None, int]]) -> None:
        """Write managers and coaches of users that this import created: manager, coach, user.

        None leaves a link as it is.
        """

    async def holders(self, email_keys: Sequence[str]) -> dict[str, int]:
        """Return the ids of known users by address, for those of `email_keys` that a user has."""

    def to_deactivated(self, field: str, first_new_id: int) -> AsyncIterator[list[ToDeactivated]]:
        """Yield active users with a deactivated `field` (manager or coach), if this import is involved.

        It is involved if it set the link or deactivated the linked user. Users from `first_new_id` on are new.
        """

    async def managers(self) -> Iterable[tuple[int, int]]:
        """Return each user who has a manager and is a manager, with their manager."""

    async def with_changed_manager(self, first_new_id: int) -> set[int]:
        """Return the users below `first_new_id` whose manager this import changed, or that it created again.

        If users from `first_new_id` on have a manager, the result has one of them: so it is empty only if no manager
        changed.
        """
