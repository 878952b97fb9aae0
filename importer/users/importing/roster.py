"""The stored users, for one import: found, created and changed in batches. Pure.

An *unknown* user is one whose creation was undone. It is kept with its id, and created again if a row names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from importer.users.columns import COLUMNS, User, Value

Names = Literal["teams", "locations"]
"""The kinds of records that have a name of their own."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The state before the import.

    `highest_id` is the highest id of any user, present or removed, that stored data still refers to. `total` counts
    all users, `deactivated` those of them that are deactivated, and `unknown` those of these whose creation was
    undone. `revision` is raised when a record that rows can name is renamed or removed.
    """

    highest_id: int
    total: int
    deactivated: int
    unknown: int
    revision: int


class StoredUsers(Protocol):
    """The users of one tenant inside the transaction of an import.

    Keys are identifiers in the form that is compared.
    """

    async def use_identity(self, *, tried: bool) -> None:
        """Make sure that the users are identified by the identity of the import. Raises TryAgain if they are not now.

        With `tried` they are for this transaction alone. Raises Refused if that is not possible.
        """

    async def beginning(self) -> Beginning:
        """Return the state of the users, before anything is written."""

    async def expect_all_new(self) -> None:
        """Announce that there is no user yet and many come.

        So the indexes by which only links are found may wait for `index_links`.
        """

    async def index_links(self) -> None:
        """Make users findable by their manager and coach, if they are not already."""

    async def deactivated(self) -> list[int]:
        """Return the ids of all deactivated users."""

    # Looking up.

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the ids of the users with these keys; keys of no user, or of an unknown one, are left out."""

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the ids of the users with these keys whose creation was undone."""

    async def load(self, ids: Iterable[int], *, active: bool = False) -> dict[int, User]:
        """Return these users with all columns, by id; with `active` only active ones. Ids of no user are left out."""

    # Keys of rows that identify no user.

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the lines stored by `add_strangers` for those of `keys` that it was given."""

    async def add_strangers(self, lines: Mapping[str, int]) -> None:
        """Store lines by key, each key only once, until the transaction ends."""

    # Teams and locations.

    async def ids_of(self, what: Names, keys: Iterable[str]) -> dict[str, int]:
        """Return the ids of the teams or locations with these keys; keys of none are left out."""

    async def make(self, what: Names, names: Mapping[str, str]) -> None:
        """Create teams or locations, in this order: names by their keys."""

    # Writing.

    async def create(self, users: Iterable[tuple[Value, ...]], columns: Sequence[str] = COLUMNS) -> None:
        """Create users, given as tuples of the id and `columns`; other columns are as in NEW_USER. Writes no history.

        Each id is above all ids that existed at `beginning`.
        """

    async def note_created(self, ids: Sequence[int], others: Sequence[int]) -> None:
        """Write the creation of these users into their history; `ids` are ascending."""

    async def create_again(self, users: Sequence[tuple[Value, ...]]) -> None:
        """Create unknown users again, with the same ids, as if they were new.

        The tuples are as for `create`. Writes their history.
        """

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        """Write what differs of each user from its loaded state, with its history."""
