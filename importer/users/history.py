"""What imports and undos changed, as people read it: who, which field, from what to what, and when.

The table `changes` holds columns and ids; here they become fields and names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypedDict

import aiosqlite

from importer.database import open_database
from importer.folder import TenantFolder
from importer.model import INTEGER_MAX
from importer.rules.identity import Identity
from importer.users.columns import CUSTOM, LINKED, SHOWN_AS, ids_in

BATCH = 1000
SELECT = """
    SELECT c.id, c.import_id, c.field, c.old, c.new, c.undo, iif(c.undo, a.undone_at, a.applied_at) AS at,
        u.email, u.external_id, u.first_name || ' ' || u.last_name AS name
    FROM changes AS c LEFT JOIN applied AS a ON a.import_id = c.import_id LEFT JOIN users AS u ON u.id = c.user_id
    WHERE c.field <> 'email_key' AND c.{which} AND c.id {beyond} ? ORDER BY c.id {order} LIMIT ?
"""
OF_IMPORT = "import_id = ?"


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
        return await self._page(OF_IMPORT, import_id, after, limit)

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        """Up to `limit` of what `of_user` has, and the `after` of the next page (None: no more)."""
        return await self._page(*self._of_user(identifier), after, limit)

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        """The same from the newest to the oldest, and the `before` of the next page (None: no more)."""
        start = INTEGER_MAX if before is None else before
        return await self._page(*self._of_user(identifier), start, limit, beyond="<", order="DESC")

    def _of_user(self, identifier: str) -> tuple[str, str]:
        which = f"user_id = (SELECT id FROM users WHERE {self._identity.column} = ?)"  # noqa: S608 - one of two columns
        return which, self._identity.key(identifier.strip())

    async def _page(
        self, which: str, value: object, start: int, limit: int, *, beyond: str = ">", order: str = "ASC"
    ) -> tuple[Changes, int | None]:
        query = SELECT.format(which=which, beyond=beyond, order=order)
        found = list(await self._db.execute_fetchall(query, (value, start, limit + 1)))
        rows = found[:limit]
        names = {table: await self._names(table, _ids(rows, table)) for table in ("users", "teams", "locations")}
        more = rows[-1]["id"] if len(found) > limit else None
        return [self._shown(row, names) for row in rows], more

    async def _names(self, table: str, ids: set[int]) -> dict[int, str | None]:
        column = self._identity.shown_column if table == "users" else "name"
        rows = await self._db.execute_fetchall(
            f"SELECT id, {column} FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(ids)),),
        )
        return {row[0]: row[1] for row in rows}

    def _shown(self, row: aiosqlite.Row, names: dict[str, dict[int, str | None]]) -> ShownChange:
        field = row["field"]
        table = names.get(LINKED.get(field, ""))
        return {
            "import_id": row["import_id"],
            "at": row["at"],
            "undo": bool(row["undo"]),
            "identifier": row[self._identity.shown_column],
            "name": row["name"],
            "field": SHOWN_AS.get(field, field).removeprefix(CUSTOM),
            "old": _value(field, row["old"], table),
            "new": _value(field, row["new"], table),
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


def _ids(rows: Iterable[aiosqlite.Row], table: str) -> set[int]:
    values = [value for row in rows if LINKED.get(row["field"]) == table for value in (row["old"], row["new"])]
    return {one for value in values for one in ids_in(value)}


def _value(field: str, value: str | int | None, names: dict[int, str | None] | None) -> object:
    """`value` of the column `field` with names for ids; what was removed since has only its number."""
    if field.startswith(CUSTOM):
        return None if value is None else json.loads(str(value))
    if names is None or value is None:
        return value
    found = [names.get(one) or f"#{one}" for one in ids_in(value)]
    return found if field == "secondary_team_ids" else found[0]
