"""Reads the records of the history in users.db; importer.users.history makes them readable."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from operator import attrgetter

import aiosqlite

from engine.sqlite.faults import fetch, translating
from importer.model import INTEGER_MAX
from importer.rules.identity import Identity
from importer.users.history import Change, Changes, ChangesGone, Person, Record, each_of, linked_ids, shown
from importer.users.runs import LONGEST

BATCH = 1000
RECORDS = """
    SELECT c.id, c.import_id, c.user_id, c.more, c.undo, c.field, c.old, c.new,
        iif(c.undo, a.undone_at, a.applied_at) AS at
    FROM changes AS c LEFT JOIN applied AS a ON a.import_id = c.import_id WHERE c.field <> 'email_key'
"""
OF_IMPORT = f"{RECORDS} AND c.import_id = ? AND c.id > ? ORDER BY c.id LIMIT ?"
OF_USER = f"{RECORDS} AND c.user_id = ? AND c.more = 0 AND c.id > ? ORDER BY c.id LIMIT ?"
OF_USER_NEWEST = f"{RECORDS} AND c.user_id = ? AND c.more = 0 AND c.id < ? ORDER BY c.id DESC LIMIT ?"
SHARED = f"{RECORDS} AND c.more > 0 AND c.user_id BETWEEN ?1 AND ?1 + {LONGEST - 1} AND c.user_id - c.more <= ?1"
"""Records about a user and others: one for each time that the user was created, or the creation was undone."""

FOLLOWING = f"{RECORDS} AND c.id > ? ORDER BY c.id LIMIT ?"
NUMBERS = """
    SELECT began, base, gone, max(gone, base + (SELECT coalesce(max(id), 0) FROM changes)) AS newest
    FROM meta WHERE one = 1
"""
"""See schema/tenant-006.sql."""

TABLES = ("users", "teams", "locations")
NUMBER = attrgetter("number")


class SqliteHistory:
    """Reads the history over an open connection to users.db."""

    def __init__(self, db: aiosqlite.Connection, identity: Identity) -> None:
        self._db = db
        self._identity = identity

    async def of_import(self, import_id: int) -> AsyncIterator[Changes]:
        async for page in _all(lambda after: self.page_of_import(import_id, after, BATCH)):
            yield page

    async def of_user(self, identifier: str) -> AsyncIterator[Changes]:
        async for page in _all(lambda after: self.page_of_user(identifier, after, BATCH)):
            yield page

    async def page_of_import(self, import_id: int, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        records = await self._records(OF_IMPORT, (import_id, after, limit + 1))
        changes = (change for record in records for change in each_of(record) if change.number > after)
        return await self._page(islice(changes, limit + 1), limit)

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        user_id, shared = await self._user(identifier)
        alone = await self._alone(OF_USER, (user_id, after, limit + 1))
        changes = [*(change for change in shared if change.number > after), *alone]
        return await self._page(sorted(changes, key=NUMBER), limit)

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        before = INTEGER_MAX if before is None else before
        user_id, shared = await self._user(identifier)
        alone = await self._alone(OF_USER_NEWEST, (user_id, before, limit + 1))
        changes = [*(change for change in shared if change.number < before), *alone]
        return await self._page(sorted(changes, key=NUMBER, reverse=True), limit)

    async def following(self, after: int, limit: int = 100) -> tuple[Changes, int]:
        async with self._one_moment():
            ((began, base, gone, newest),) = await fetch(self._db, NUMBERS)
            after = after or began
            if not gone <= after <= newest:
                raise ChangesGone(newest)
            stored_after = after - base
            records = await self._records(FOLLOWING, (stored_after, limit))
            each = (change for record in records for change in each_of(record) if change.number > stored_after)
            page = list(islice(each, limit))
            return await self._shown(page, creation=None), page[-1].number + base if page else after

    @asynccontextmanager
    async def _one_moment(self) -> AsyncIterator[None]:
        """Read everything in the block as it is at its start."""
        with translating():
            await self._db.execute("BEGIN")
        try:
            yield
        finally:
            await self._db.rollback()

    async def _user(self, identifier: str) -> tuple[int | None, list[Change]]:
        """Return the id of a user (None: there is none), and the user's changes in records about several users."""
        query = f"SELECT id FROM users WHERE {self._identity.column} = ?"  # noqa: S608 - one of two columns
        found = await fetch(self._db, query, (self._identity.key(identifier.strip()),))
        user_id: int | None = next((row["id"] for row in found), None)
        records = await self._records(SHARED, (user_id,))
        return user_id, [change for record in records for change in each_of(record) if change.user_id == user_id]

    async def _records(self, query: str, values: Sequence[object]) -> list[Record]:
        return [Record(*row) for row in await fetch(self._db, query, values)]

    async def _alone(self, query: str, values: Sequence[object]) -> list[Change]:
        """Return the changes of records that are about one user."""
        return [Change(record.number, record.user_id, record) for record in await self._records(query, values)]

    async def _page(self, changes: Iterable[Change], limit: int) -> tuple[Changes, int | None]:
        """Return the first `limit` of `changes` as people read them, and the number of the last if there are more."""
        found = list(changes)
        page = found[:limit]
        return await self._shown(page), page[-1].number if len(found) > limit else None

    async def _shown(self, page: Sequence[Change], *, creation: str | None = "created") -> Changes:
        people = await self._people({change.user_id for change in page})
        names = {table: await self._names(table, linked_ids(page, table)) for table in TABLES}
        return [shown(change, people.get(change.user_id), names, creation) for change in page]

    async def _people(self, ids: set[int]) -> dict[int, Person]:
        rows = await fetch(
            self._db,
            f"SELECT id, {self._identity.shown_column}, first_name || ' ' || last_name FROM users"  # noqa: S608
            " WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {row[0]: Person(row[1], row[2]) for row in rows}

    async def _names(self, table: str, ids: set[int]) -> dict[int, str | None]:
        column = self._identity.shown_column if table == "users" else "name"
        rows = await fetch(
            self._db,
            f"SELECT id, {column} FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(ids)),),
        )
        return {row[0]: row[1] for row in rows}


async def _all(page: Callable[[int], Awaitable[tuple[Changes, int | None]]]) -> AsyncIterator[Changes]:
    """Yield page after page until one is empty."""
    after: int | None = 0
    while after is not None:
        changes, after = await page(after)
        if changes:
            yield changes
