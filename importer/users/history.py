"""What imports and undos changed, as people read it: who, which field, from what to what, and when.

The table `changes` holds columns and ids; here they become fields and names. A record that is about several users
becomes a change of each.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypedDict

import aiosqlite

from importer.database import open_database
from importer.folder import TenantFolder
from importer.model import INTEGER_MAX
from importer.rules.identity import Identity
from importer.users.columns import CUSTOM, LINKED, SHOWN_AS, ids_in
from importer.users.runs import LONGEST

BATCH = 1000
RECORDS = """
    SELECT c.*, iif(c.undo, a.undone_at, a.applied_at) AS at
    FROM changes AS c LEFT JOIN applied AS a ON a.import_id = c.import_id WHERE c.field <> 'email_key'
"""
OF_IMPORT = f"{RECORDS} AND c.import_id = ? AND c.id > ? ORDER BY c.id LIMIT ?"
OF_USER = f"{RECORDS} AND c.user_id = ? AND c.more = 0 AND c.id > ? ORDER BY c.id LIMIT ?"
OF_USER_NEWEST = f"{RECORDS} AND c.user_id = ? AND c.more = 0 AND c.id < ? ORDER BY c.id DESC LIMIT ?"
SHARED = f"{RECORDS} AND c.more > 0 AND c.user_id BETWEEN ?1 AND ?1 + {LONGEST - 1} AND c.user_id - c.more <= ?1"
"""Records about a user and others: one for each time that the user was created, and that it was undone."""


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


@dataclass(frozen=True, slots=True)
class _Change:
    """What one record says of one user. `number` tells its place among all changes."""

    number: int
    user_id: int
    record: aiosqlite.Row


class History:
    """Reads the history over an open connection to users.db."""

    def __init__(self, db: aiosqlite.Connection, identity: Identity) -> None:
        self._db = db
        self._identity = identity

    async def of_import(self, import_id: int) -> AsyncIterator[Changes]:
        """What one import changed, and what its undo put back, in the order in which it was done, in batches."""
        async for page in _all(lambda after: self.page_of_import(import_id, after, BATCH)):
            yield page

    async def of_user(self, identifier: str) -> AsyncIterator[Changes]:
        """What imports and undos changed of one user, oldest first, in batches."""
        async for page in _all(lambda after: self.page_of_user(identifier, after, BATCH)):
            yield page

    async def page_of_import(self, import_id: int, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Up to `limit` of what `of_import` has, and the `after` of the next page (None: no more)."""
        records = await self._db.execute_fetchall(OF_IMPORT, (import_id, after, limit + 1))
        changes = (change for record in records for change in _each_of(record) if change.number > after)
        return await self._page(islice(changes, limit + 1), limit)

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Up to `limit` of what `of_user` has, and the `after` of the next page (None: no more)."""
        user_id, shared = await self._user(identifier)
        alone = await self._db.execute_fetchall(OF_USER, (user_id, after, limit + 1))
        changes = [*(change for change in shared if change.number > after), *map(_alone, alone)]
        return await self._page(sorted(changes, key=_number), limit)

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        """The same from the newest to the oldest, and the `before` of the next page (None: no more)."""
        before = INTEGER_MAX if before is None else before
        user_id, shared = await self._user(identifier)
        alone = await self._db.execute_fetchall(OF_USER_NEWEST, (user_id, before, limit + 1))
        changes = [*(change for change in shared if change.number < before), *map(_alone, alone)]
        return await self._page(sorted(changes, key=_number, reverse=True), limit)

    async def _user(self, identifier: str) -> tuple[int | None, list[_Change]]:
        """The id of a user (None: there is none), and the changes of theirs whose records are about others, too."""
        query = f"SELECT id FROM users WHERE {self._identity.column} = ?"  # noqa: S608 - one of two columns
        found = await self._db.execute_fetchall(query, (self._identity.key(identifier.strip()),))
        user_id: int | None = next((row["id"] for row in found), None)
        records = await self._db.execute_fetchall(SHARED, (user_id,))
        return user_id, [change for record in records for change in _each_of(record) if change.user_id == user_id]

    async def _page(self, changes: Iterable[_Change], limit: int) -> tuple[Changes, int | None]:
        """The first `limit` of `changes` as people read them, and the number of the last if there are more."""
        found = list(changes)
        page = found[:limit]
        people = await self._people({change.user_id for change in page})
        names = {table: await self._names(table, _ids(page, table)) for table in ("users", "teams", "locations")}
        more = page[-1].number if len(found) > limit else None
        return [self._shown(change, people.get(change.user_id), names) for change in page], more

    async def _people(self, ids: set[int]) -> dict[int, aiosqlite.Row]:
        rows = await self._db.execute_fetchall(
            "SELECT id, email, external_id, first_name || ' ' || last_name AS name FROM users"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {row["id"]: row for row in rows}

    async def _names(self, table: str, ids: set[int]) -> dict[int, str | None]:
        column = self._identity.shown_column if table == "users" else "name"
        rows = await self._db.execute_fetchall(
            f"SELECT id, {column} FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(ids)),),
        )
        return {row[0]: row[1] for row in rows}

    def _shown(
        self, change: _Change, user: aiosqlite.Row | None, names: dict[str, dict[int, str | None]]
    ) -> ShownChange:
        record = change.record
        field = record["field"]
        table = names.get(LINKED.get(field, ""))
        return {
            "import_id": record["import_id"],
            "at": record["at"],
            "undo": bool(record["undo"]),
            "identifier": user[self._identity.shown_column] if user else None,
            "name": user["name"] if user else None,
            "field": SHOWN_AS.get(field, field).removeprefix(CUSTOM),
            "old": _value(field, record["old"], table),
            "new": _value(field, record["new"], table),
        }


@asynccontextmanager
async def open_history(folder: TenantFolder, identity: Identity) -> AsyncIterator[History]:
    """The history of the tenant in `folder`, over a connection of its own that nobody waits for."""
    db = await open_database(folder.users_db, "tenant", readonly=True)
    try:
        yield History(db, identity)
    finally:
        await db.close()


async def _all(page: Callable[[int], Awaitable[tuple[Changes, int | None]]]) -> AsyncIterator[Changes]:
    """Page after page, as long as there is something on it."""
    after: int | None = 0
    while after is not None:
        changes, after = await page(after)
        if changes:
            yield changes


def _each_of(record: aiosqlite.Row) -> Iterator[_Change]:
    """What `record` says, of one user after the other: it has the number and the user of the last."""
    for before in range(record["more"], -1, -1):
        yield _Change(record["id"] - before, record["user_id"] - before, record)


def _alone(record: aiosqlite.Row) -> _Change:
    return _Change(record["id"], record["user_id"], record)


def _number(change: _Change) -> int:
    return change.number


def _ids(changes: Iterable[_Change], table: str) -> set[int]:
    linked = [change.record for change in changes if LINKED.get(change.record["field"]) == table]
    values = [value for record in linked for value in (record["old"], record["new"])]
    return {one for value in values for one in ids_in(value)}


def _value(field: str, value: str | int | None, names: dict[int, str | None] | None) -> object:
    """`value` of the column `field` with names for ids; what was removed since has only its number."""
    if field.startswith(CUSTOM):
        return None if value is None else json.loads(str(value))
    if names is None or value is None:
        return value
    found = [names.get(one) or f"#{one}" for one in ids_in(value)]
    return found if field == "secondary_team_ids" else found[0]
