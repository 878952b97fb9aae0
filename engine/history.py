"""The history as every engine reads it: stored records become pages of changes. An engine has only the statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any

from importer.model import INTEGER_MAX
from importer.rules.identity import Identity
from importer.users.history import Change, Changes, ChangesGone, Person, Record, each_of, linked_ids, shown

BATCH = 1000
TABLES = ("users", "teams", "locations")
NUMBER = attrgetter("number")


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of an engine, with values by name. The first five return the columns of Record.

    `of_import` (import_id, after, limit): the records of an import. `of_user`, `of_user_newest` (user_id, after or
    before, limit): those about one user alone. `shared` (user_id): those about several users. `following` (after,
    limit): all. `user` (key), `people` and `names` (ids) are made with `format`. `numbers` returns `began`, `base`,
    `gone` and `newest`: a number that a follower sees is that of a record plus `base`.
    """

    of_import: str
    of_user: str
    of_user_newest: str
    shared: str
    following: str
    numbers: str
    user: str
    people: str
    names: str


Fetch = Callable[[str, Mapping[str, object]], Awaitable[Sequence[Any]]]
"""Returns the rows of a statement with these values; a list of ids is one value."""


class StoredHistory(ABC):
    """An `importer.users.history.History` over the statements of an engine."""

    def __init__(self, statements: Statements, fetch: Fetch, identity: Identity) -> None:
        self._statements = statements
        self._fetch = fetch
        self._identity = identity

    @abstractmethod
    def _one_moment(self) -> AbstractAsyncContextManager[StoredHistory]:
        """Read everything in the block, through the result, as it is at its start."""

    async def of_import(self, import_id: int) -> AsyncIterator[Changes]:
        async for page in _all(lambda after: self.page_of_import(import_id, after, BATCH)):
            yield page

    async def of_user(self, identifier: str) -> AsyncIterator[Changes]:
        async for page in _all(lambda after: self.page_of_user(identifier, after, BATCH)):
            yield page

    async def page_of_import(self, import_id: int, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        records = await self._records(self._statements.of_import, import_id=import_id, after=after, limit=limit + 1)
        changes = (change for record in records for change in each_of(record) if change.number > after)
        return await self._page(islice(changes, limit + 1), limit)

    async def page_of_user(self, identifier: str, after: int = 0, limit: int = 100) -> tuple[Changes, int | None]:
        user_id, shared = await self._user(identifier)
        alone = await self._alone(self._statements.of_user, user_id=user_id, after=after, limit=limit + 1)
        changes = [*(change for change in shared if change.number > after), *alone]
        return await self._page(sorted(changes, key=NUMBER), limit)

    async def newest_of_user(
        self, identifier: str, limit: int = 100, before: int | None = None
    ) -> tuple[Changes, int | None]:
        before = INTEGER_MAX if before is None else before
        user_id, shared = await self._user(identifier)
        alone = await self._alone(self._statements.of_user_newest, user_id=user_id, before=before, limit=limit + 1)
        changes = [*(change for change in shared if change.number < before), *alone]
        return await self._page(sorted(changes, key=NUMBER, reverse=True), limit)

    async def following(self, after: int, limit: int = 100) -> tuple[Changes, int]:
        async with self._one_moment() as now:
            return await now._following(after, limit)

    async def _following(self, after: int, limit: int) -> tuple[Changes, int]:
        ((began, base, gone, newest),) = await self._fetch(self._statements.numbers, {})
        after = after or began
        if not gone <= after <= newest:
            raise ChangesGone(newest)
        stored_after = after - base
        records = await self._records(self._statements.following, after=stored_after, limit=limit)
        each = (change for record in records for change in each_of(record) if change.number > stored_after)
        page = list(islice(each, limit))
        return await self._shown(page, creation=None), page[-1].number + base if page else after

    async def _user(self, identifier: str) -> tuple[int | None, list[Change]]:
        """Return the id of a user (None: there is none), and the user's changes in records about several users."""
        query = self._statements.user.format(column=self._identity.column)
        found = await self._fetch(query, {"key": self._identity.key(identifier.strip())})
        user_id: int | None = next((row["id"] for row in found), None)
        records = await self._records(self._statements.shared, user_id=user_id)
        return user_id, [change for record in records for change in each_of(record) if change.user_id == user_id]

    async def _records(self, query: str, **values: object) -> list[Record]:
        return [Record(*row) for row in await self._fetch(query, values)]

    async def _alone(self, query: str, **values: object) -> list[Change]:
        """Return the changes of records that are about one user."""
        return [Change(record.number, record.user_id, record) for record in await self._records(query, **values)]

    async def _page(self, changes: Iterable[Change], limit: int) -> tuple[Changes, int | None]:
        """Return the first `limit` of `changes` as people read them, and the number of the last if there are more."""
        found = list(changes)
        page = found[:limit]
        return await self._shown(page), page[-1].number if len(found) > limit else None

    async def _shown(self, page: Sequence[Change], *, creation: str | None = "created") -> Changes:
        people = await self._people({change.user_id for change in page})
        names = {table: await self._names(table, linked_ids(page, table)) for table in TABLES}
        return [shown(change, people.get(change.user_id), names, creation) for change in page]

    async def _people(self, ids: Collection[int]) -> dict[int, Person]:
        query = self._statements.people.format(identifier=self._identity.shown_column)
        return {row[0]: Person(row[1], row[2]) for row in await self._fetch(query, {"ids": list(ids)})}

    async def _names(self, table: str, ids: Collection[int]) -> dict[int, str | None]:
        if not ids:
            return {}
        column = self._identity.shown_column if table == "users" else "name"
        rows = await self._fetch(self._statements.names.format(table=table, column=column), {"ids": list(ids)})
        return {row[0]: row[1] for row in rows}


async def _all(page: Callable[[int], Awaitable[tuple[Changes, int | None]]]) -> AsyncIterator[Changes]:
    """Yield page after page until one is empty."""
    after: int | None = 0
    while after is not None:
        changes, after = await page(after)
        if changes:
            yield changes
