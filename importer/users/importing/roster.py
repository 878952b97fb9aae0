"""Users as they are stored, for one import: looked up, made and changed, a batch at a time.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from importer.users.columns import COLUMNS, User, Value

Names = Literal["teams", "locations"]
"""What has a name of its own."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What there was before the import.

    `highest_id`: of any user there ever was of whom something is still kept. `total` users, of whom so many are
    `deactivated`, and of these so many `unknown`: their creation was undone. `revision` is raised when anything is
    renamed or removed that rows can name.
    """

    highest_id: int
    total: int
    deactivated: int
    unknown: int
    revision: int


class StoredUsers(Protocol):
    """The users of one tenant inside the transaction of an import. Keys are identifiers as they are compared."""

    async def tell_apart(self, *, tried: bool) -> None:
        """See to it that users are told apart by the identity of the import. Raises TryAgain if they are not now.

        If it is only `tried`, they are for this transaction alone. Raises Refused if that can't be.
        """

    async def beginning(self) -> Beginning:
        """Take stock, before anything is written."""

    async def expect_all_new(self) -> None:
        """There is no user yet, and many come: what only links are looked up by may wait for `index_links`."""

    async def index_links(self) -> None:
        """Let users be found by their manager and coach, if they are not already."""

    async def deactivated(self) -> list[int]:
        """The ids of all deactivated users."""

    # Looking up.

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        """The ids of the users whom these keys name; those of nobody, or of an unknown one, are missing."""

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        """The ids of those whose creation was undone."""

    async def load(self, ids: Iterable[int], *, active: bool = False) -> dict[int, User]:
        """These users, whole, by id; with `active` only those who are. Those that are not there are missing."""

    async def days_before(self, ids: Sequence[int]) -> list[tuple[int, str, str | None]]:
        """What this import has changed of the days of these users, as id, column and old value.

        The columns are `hire_date` and `leave_date`; `created` tells that it has created the user.
        """

    # Keys of rows that are about nobody.

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        """The lines that `add_strangers` was told, of those of `keys` that it was told."""

    async def add_strangers(self, lines: Mapping[str, int]) -> None:
        """Keep lines by keys, each key only once, until the transaction ends."""

    # Teams and locations.

    async def ids_of(self, what: Names, keys: Iterable[str]) -> dict[str, int]:
        """The ids of the teams or locations with these keys; those that are not there are missing."""

    async def make(self, what: Names, names: Mapping[str, str]) -> None:
        """Make teams or locations, in this order: names by their keys."""

    # Writing.

    async def create(self, users: Iterable[tuple[Value, ...]], columns: Sequence[str] = COLUMNS) -> None:
        """Make users: tuples of the id and `columns`; the others are as NEW_USER has them. Their history is not told.

        Each id is higher than all that were there when it was looked at in `beginning`.
        """

    async def note_created(self, ids: Sequence[int], others: Sequence[int]) -> None:
        """Put the creation of these users into their history; `ids` go upwards."""

    async def create_again(self, users: Sequence[tuple[Value, ...]]) -> None:
        """Unknown users have come again: the same ids, as if they were new (tuples as for `create`), with history."""

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        """Write what differs of each user, as it was loaded, with its history."""
