"""What imports and undos changed, as people read it: who, which field, from what to what, and when.  Pure.

Records hold columns and ids; here they become fields and names. A record that is about several users becomes a change
of each.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypedDict

from importer.users.columns import CUSTOM, LINKED, SHOWN_AS, ids_in


class ShownChange(TypedDict):
    """One field of a user that an import or its undo changed; `old` and `new` are JSON, with names for ids."""

    import_id: int
    at: str | None
    undo: bool
    identifier: str | None
    name: str | None
    field: str
    old: object
    new: object


Changes = list[ShownChange]


class History(Protocol):
    """What was changed of the users of one tenant. Whoever was named in a link and is there no more has a number."""

    def of_import(self, import_id: int) -> AsyncIterator[Changes]:
        """What one import changed, and what its undo put back, in the order in which it was done, in batches."""

    def of_user(self, identifier: str) -> AsyncIterator[Changes]:
        """What imports and undos changed of one user, oldest first, in batches."""

    async def page_of_import(self, import_id: int, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Up to `limit` of what `of_import` has, and the `after` of the next page (None: no more)."""

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Up to `limit` of what `of_user` has, and the `after` of the next page (None: no more)."""

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        """The same from the newest to the oldest, and the `before` of the next page (None: no more)."""


class Record(NamedTuple):
    """What is kept of one change, of the user `user_id` and of `more` users whose ids come just before it.

    `number` tells its place among all changes; the users before have as many numbers before it. `field` is a column
    of users, and `old` and `new` are values of it; `at` is RFC 3339.
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
    """Whom a change is about."""

    identifier: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one record says of one user. `number` tells its place among all changes."""

    number: int
    user_id: int
    record: Record


def each_of(record: Record) -> Iterator[Change]:
    """What `record` says, of one user after the other: it has the number and the user of the last."""
    for before in range(record.more, -1, -1):
        yield Change(record.number - before, record.user_id - before, record)


def linked_ids(changes: Iterable[Change], table: str) -> set[int]:
    """The ids of `table` (users, teams, locations) that stand in these changes."""
    linked = [change.record for change in changes if LINKED.get(change.record.field) == table]
    values = [value for record in linked for value in (record.old, record.new)]
    return {one for value in values for one in ids_in(value)}


def shown(change: Change, user: Person | None, names: Mapping[str, Mapping[int, str | None]]) -> ShownChange:
    """A change as people read it. `user` is whom it is about, None if there is none any more.

    `names` has for each table what its `linked_ids` are called.
    """
    record = change.record
    table = names.get(LINKED.get(record.field, ""))
    return {
        "import_id": record.import_id,
        "at": record.at,
        "undo": bool(record.undo),
        "identifier": user.identifier if user else None,
        "name": user.name if user else None,
        "field": SHOWN_AS.get(record.field, record.field).removeprefix(CUSTOM),
        "old": _value(record.field, record.old, table),
        "new": _value(record.field, record.new, table),
    }


def _value(field: str, value: str | int | None, names: Mapping[int, str | None] | None) -> object:
    """`value` of the column `field` with names for ids; what was removed since has only its number."""
    if field.startswith(CUSTOM):
        return None if value is None else json.loads(str(value))
    if names is None or value is None:
        return value
    found = [names.get(one) or f"#{one}" for one in ids_in(value)]
    return found if field == "secondary_team_ids" else found[0]
