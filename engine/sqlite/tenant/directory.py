"""The users in users.db: looked up, searched and paged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiosqlite

from engine.sqlite.faults import fetch, translating
from engine.sqlite.tenant.search import FILTERS, Index, patterns_of
from importer.rules.cells import name_key
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import ALL, Report, ShownUser, Sort, Wanted, shown_user
from importer.users.search import clean, sort_key

SELECT_USER = """
    SELECT u.*, {manager} AS manager, {coach} AS coach, t.name AS primary_team, l.name AS location,
        (SELECT json_group_array(s.name) FROM json_each('[' || u.secondary_team_ids || ']') AS i
            JOIN teams AS s ON s.id = i.value) AS secondary_team
    FROM users AS u
        LEFT JOIN users AS m ON m.id = u.manager_id
        LEFT JOIN users AS c ON c.id = u.coach_id
        LEFT JOIN teams AS t ON t.id = u.primary_team_id
        LEFT JOIN locations AS l ON l.id = u.location_id
"""

# One line each, so that no match spans two of them.
SEARCHED = (
    "u.first_name || ' ' || u.last_name || char(10) || ifnull(u.email, '') || char(10) || ifnull(u.external_id, '')"
)

BACKSLASH = "'\\'"

NO_SUCH = 0
"""The id of no team and no location."""

ORDERS = {
    Sort.LAST_NAME: "folded(u.last_name), folded(u.first_name)",
    Sort.FIRST_NAME: "folded(u.first_name), folded(u.last_name)",
    Sort.EMAIL: "u.email_key IS NULL, u.email_key",
    Sort.TEAM: "t.name IS NULL, folded(t.name), folded(u.last_name), folded(u.first_name)",
}


class SqliteDirectory:
    """Reads the users over an open connection to users.db.

    With the `index` of these users, attached to `db`, it uses the index if possible.
    """

    def __init__(self, db: aiosqlite.Connection, identity: Identity = BY_ADDRESS, index: Index | None = None) -> None:
        self._db = db
        self._identity = identity
        self._index = index
        self._select = SELECT_USER.format(manager=identity.shown_sql("m"), coach=identity.shown_sql("c"))

    async def count_by_state(self) -> dict[str, int]:
        if self._index and (counts := await self._index.counts()):
            return counts
        (total, deactivated), *_ = await fetch(
            self._db, "SELECT count(*), (SELECT count(*) FROM users WHERE state = 'deactivated') FROM users"
        )
        return {"active": total - deactivated, "deactivated": deactivated}

    async def page(
        self, wanted: Wanted = ALL, *, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[ShownUser], int | None]:
        asked = await self._asked(wanted, known=known, after=after, limit=limit + 1)
        if asked is None:
            return [], None
        ids = await self._by_index(asked)
        found = await self._scan(self._select, asked) if ids is None else await self._rows(ids)
        more = found[limit - 1]["id"] if len(found) > limit else None
        return [_shown(row) for row in found[:limit]], more

    async def sorted_page(
        self, wanted: Wanted, sort: Sort, *, skip: int, limit: int, most: int
    ) -> tuple[list[ShownUser], int] | None:
        asked = await self._asked(wanted, known=False, after=0, limit=most + 1)
        if asked is None:
            return [], 0
        ids = await self._by_index(asked)
        if ids is None:
            ids = [row["id"] for row in await self._scan("SELECT u.id FROM users AS u", asked)]
        if len(ids) > most:
            return None
        if sort is Sort.NEWEST:
            ids.reverse()
        elif sort is not Sort.CREATED:
            ids = await self._sorted(ids, sort)
        shown = ids[skip : skip + limit]
        rows = {row["id"]: row for row in await self._rows(shown)}
        return [_shown(rows[each]) for each in shown if each in rows], len(ids)

    async def names(self, limit: int) -> tuple[list[str], list[str]]:
        teams, locations = [
            [str(row[0]) for row in await fetch(self._db, f"SELECT name FROM {table} ORDER BY key LIMIT ?", (limit,))]  # noqa: S608
            for table in ("teams", "locations")
        ]
        return teams, locations

    async def _asked(self, wanted: Wanted, *, known: bool, after: int, limit: int) -> dict[str, Any] | None:
        """Return the values of the statements that find these users; None if no user can be found."""
        team, location = await self._id_of("teams", wanted.team), await self._id_of("locations", wanted.location)
        if NO_SUCH in {team, location}:
            return None
        filters = {"state": wanted.state, "team": team, "location": location, "protected": wanted.protected}
        return {**filters, "search": clean(wanted.search), "known": known, "after": after, "limit": limit}

    async def _by_index(self, asked: Mapping[str, Any]) -> list[int] | None:
        """Return the ids of the users that the index finds; None if it cannot answer.

        Most users have the same state: with another filter but no search, reading the users takes less time.
        """
        by_state = asked["state"] and all(asked[name] is None for name in FILTERS)
        return await self._index.find(asked) if self._index and (asked["search"] or by_state) else None

    async def _id_of(self, table: str, name: str | None) -> int | None:
        """Return the id of a team or location; None for no name, NO_SUCH for an unknown one."""
        if name is None:
            return None
        rows = await fetch(self._db, f"SELECT id FROM {table} WHERE key = ?", (name_key(name.strip()),))  # noqa: S608
        return int(rows[0][0]) if rows else NO_SUCH

    async def _scan(self, select: str, asked: Mapping[str, Any]) -> list[aiosqlite.Row]:
        """Find users by reading them one after the other."""
        where: list[str] = ["u.id > :after", *["u.known = 1"] * asked["known"]]
        if asked["state"] == "deactivated":  # written literally: SQLite uses the partial index only then
            where.append("u.state = 'deactivated'")
        elif asked["state"]:
            where.append("u.state = :state")
        where += [FILTERS[name] for name in FILTERS if asked[name] is not None]
        patterns: dict[str, str] = {}
        for word in asked["search"].split():
            named = {f"pattern{at}": each for at, each in enumerate(patterns_of(word), start=len(patterns))}
            patterns |= named
            where.append(f"({' OR '.join(f'{SEARCHED} LIKE :{name} ESCAPE {BACKSLASH}' for name in named)})")
        query = f"{select} WHERE {' AND '.join(where)} ORDER BY u.id LIMIT :limit"
        return await fetch(self._db, query, {**asked, **patterns})

    async def _rows(self, ids: list[int]) -> list[aiosqlite.Row]:
        """Return the users with these ids, in the order of their creation."""
        query = f"{self._select} WHERE u.id IN (SELECT value FROM json_each(?)) ORDER BY u.id"  # noqa: S608
        return await fetch(self._db, query, (json.dumps(ids),))

    async def _sorted(self, ids: list[int], sort: Sort) -> list[int]:
        with translating():
            await self._db.create_function("folded", 1, sort_key, deterministic=True)
        query = (
            "SELECT u.id FROM users AS u LEFT JOIN teams AS t ON t.id = u.primary_team_id"  # noqa: S608 - constants
            f" WHERE u.id IN (SELECT value FROM json_each(?)) ORDER BY {ORDERS[sort]}, u.id"
        )
        return [row[0] for row in await fetch(self._db, query, (json.dumps(ids),))]

    async def get(self, identifier: str) -> ShownUser | None:
        rows = await fetch(
            self._db, f"{self._select} WHERE u.{self._identity.column} = ?", (self._identity.key(identifier.strip()),)
        )
        return next((_shown(row) for row in rows), None)

    async def reports(self, identifier: str, limit: int = 100) -> dict[str, list[Report]]:
        found: dict[str, list[Report]] = {}
        for link in ("manager", "coach"):
            rows = await fetch(
                self._db,
                f"SELECT {self._identity.shown_sql('u')}, u.first_name || ' ' || u.last_name, u.state"  # noqa: S608
                f" FROM users AS u WHERE u.{link}_id = (SELECT id FROM users WHERE {self._identity.column} = ?)"
                " AND u.known = 1 ORDER BY u.id LIMIT ?",
                (self._identity.key(identifier.strip()), limit),
            )
            found[f"{link}_of"] = [{"identifier": row[0], "name": row[1], "state": row[2]} for row in rows]
        return found

    async def all_users(
        self, batch: int = 1000, *, known: bool = False, wanted: Wanted = ALL
    ) -> AsyncIterator[list[ShownUser]]:
        after: int | None = 0
        while after is not None:
            users, after = await self.page(wanted, limit=batch, after=after, known=known)
            yield users


def _shown(row: aiosqlite.Row) -> ShownUser:
    return shown_user(row, json.loads(row["secondary_team"]))
