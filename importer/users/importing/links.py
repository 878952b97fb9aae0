"""Managers and coaches as they are stored, and those that wait for the end of an import.  Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Waiting:
    """A user whose links wait for the end: texts by `manager` and `coach`.

    `changed`: the import has counted this user as changed already.
    """

    user_id: int
    line: int
    texts: Mapping[str, str]
    settles: bool
    changed: bool
    created: bool


class ToDeactivated(NamedTuple):
    """An active user (`whose`) with a link to a deactivated one (`whom`), as a person reads them."""

    user_id: int
    whose: str | None
    whom: str | None


class StoredLinks(Protocol):
    """The links of one import, inside its transaction."""

    async def wait(self, waiting: Sequence[Waiting]) -> None:
        """Keep these until the transaction ends, each line once."""

    async def waiting(self, after: int) -> list[Waiting]:
        """The next of those that wait on a line after this one, in the order of lines; none: there are no more."""

    async def link_new(self, links: Sequence[tuple[int | None, int | None, int]]) -> None:
        """Write managers and coaches of users whom this import has created: manager, coach, user. None: as it was."""

    async def holders(self, email_keys: Sequence[str]) -> dict[str, int]:
        """The ids of known users by their addresses, of those of `email_keys` that one has."""

    def to_deactivated(self, field: str, first_new_id: int) -> AsyncIterator[list[ToDeactivated]]:
        """Yield active users with a deactivated `field` (manager or coach), where this import has to do with it.

        It has set the link, or deactivated its end. Users from `first_new_id` on are new.
        """

    async def managers(self) -> Iterable[tuple[int, int]]:
        """Each user who has a manager and is one, with that manager."""

    async def with_changed_manager(self, first_new_id: int) -> set[int]:
        """The users below `first_new_id` whose manager this import has changed, or whom it has created again.

        And one of those from there on who have a manager, if there is any.
        """
