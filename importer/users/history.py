"""The changes by imports and undos as people read them: user, field, old and new value, time. Pure.

Records contain columns and ids; here they become fields and names. A record about several users becomes one change of
each.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypedDict

from importer.errors import Refused
from importer.users.columns import CUSTOM, LINKED, SHOWN_AS, ids_in


class ShownChange(TypedDict):
    """One field of a user that an import or its undo changed; `old` and `new` are JSON, with names instead of ids.

    A creation is one change of `created`, or of None in `following`, without values.
    """

    import_id: int
    at: str | None
    undo: bool
    identifier: str | None
    name: str | None
    field: str | None
    old: object
    new: object


Changes = list[ShownChange]


class ChangesGone(Refused):
    """The changes after a number are not all stored. `newest` is the number of the newest change."""

    def __init__(self, newest: int) -> None:
        message = f"the changes after this number are no longer kept: read all users again, then follow from {newest}"
        super().__init__("changes_gone", message)
        self.newest = newest


class History(Protocol):
    """The changes of one tenant's users.

    A removed user, team or location that a link named is shown by its number.
    """

    def of_import(self, import_id: int) -> AsyncIterator[Changes]:
        """Yield what one import changed and what its undo set back, in the order it was done, in batches."""

    def of_user(self, identifier: str) -> AsyncIterator[Changes]:
        """Yield what imports and undos changed of one user, oldest first, in batches."""

    async def page_of_import(self, import_id: int, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Return up to `limit` changes of `of_import`, and the `after` of the next page (None: no more)."""

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Return up to `limit` changes of `of_user`, and the `after` of the next page (None: no more)."""

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        """Return the same, newest first, and the `before` of the next page (None: no more)."""

    async def following(self, after: int, limit: int = 100) -> tuple[Changes, int]:
        """Return up to `limit` changes of all imports and undos after the number `after`, in their order.

        0 is the beginning. Also returns the `after` of the next call. A number never means two changes, also not of
        two tenants that had one name. Raises ChangesGone if a change after this number was deleted, or if no change
        has had this number yet.
        """


class Record(NamedTuple):
    """One stored change, of the user `user_id` and of the `more` users whose ids come directly before it.

    `number` is the place of the last user's change among all changes; the `more` users before have the numbers
    directly before it. `field` is a column of users, and `old` and `new` are values of it; `at` is RFC 3339.
    """

    number: int
    import_id: int
    user_id: int
    more: int
    undo: int
    field: str
    old: str | int | None
    new: str | int | None
    at: str | None


class Person(NamedTuple):
    """The user that a change is about."""

    identifier: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one user in a record. `number` is its place among all changes."""

    number: int
    user_id: int
    record: Record


def each_of(record: Record) -> Iterator[Change]:
    """Yield the changes in `record`, one a user; the record has the number and the user of the last one."""
    for before in range(record.more, -1, -1):
        yield Change(record.number - before, record.user_id - before, record)


def linked_ids(changes: Iterable[Change], table: str) -> set[int]:
    """Return the ids of `table` (users, teams, locations) in these changes."""
    linked = [change.record for change in changes if LINKED.get(change.record.field) == table]
    values = [value for record in linked for value in (record.old, record.new)]
    return {one for value in values for one in ids_in(value)}


def shown(
    change: Change,
    user: Person | None,
    names: Mapping[str, Mapping[int, str | None]],
    creation: str | None = "created",
) -> ShownChange:
    """Return a change as people read it. `user` is the user it is about, None if the user no longer exists.

    `names` has the names of the `linked_ids` of each table. `creation` is the field of a creation.
    """
    record = change.record
    field = SHOWN_AS.get(record.field, record.field).removeprefix(CUSTOM)
    table = names.get(LINKED.get(record.field, ""))
    return {
        "import_id": record.import_id,
        "at": record.at,
        "undo": bool(record.undo),
        "identifier": user.identifier if user else None,
        "name": user.name if user else None,
        "field": creation if record.field == "created" else field,
        "old": _value(record.field, record.old, table),
        "new": _value(record.field, record.new, table),
    }


def _value(field: str, value: str | int | None, names: Mapping[int, str | None] | None) -> object:
    """Return `value` of the column `field` with names instead of ids; a removed record is shown by its number."""
    if field.startswith(CUSTOM):
        return None if value is None else json.loads(str(value))
    if names is None or value is None:
        return value
    found = [names.get(one) or f"#{one}" for one in ids_in(value)]
    return found if field == "secondary_team_ids" else found[0]
