"""The users in users.db: looked up, searched and paged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiosqlite

from engine.sqlite.faults import fetch
from engine.sqlite.tenant.search import Index, patterns_of
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import Report, ShownUser
from importer.users.search import clean

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
        self, *, search: str = "", state: str | None = None, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[ShownUser], int | None]:
        """Return up to `limit` users in the order of their creation, and the `after` of the next page.

        It is None if there are no more. `search` finds words as search.py defines; without a usable index it looks
        for their letters anywhere in a name, the address or the identifier. With `known`, users whose creation was
        undone are left out.
        """
        search = clean(search)
        ids = None
        if self._index and (search or state):
            ids = await self._index.find(search, state, known=known, after=after, limit=limit + 1)
        if ids is None:
            found = await self._scan(search, state, known=known, after=after, limit=limit + 1)
        else:
            found = await self._rows("u.id IN (SELECT value FROM json_each(?))", [json.dumps(ids)])
        more = found[limit - 1]["id"] if len(found) > limit else None
        return [user_json(row) for row in found[:limit]], more

    async def _scan(
        self, search: str, state: str | None, *, known: bool, after: int, limit: int
    ) -> list[aiosqlite.Row]:
        """Find users by reading them one after the other, if no index can answer."""
        where: list[str] = ["u.id > ?", *["u.known = 1"] * known]
        values: list[object] = [after]
        if state == "deactivated":  # written literally: SQLite uses the partial index only then
            where.append("u.state = 'deactivated'")
        elif state:
            where.append("u.state = ?")
            values.append(state)
        for word in search.split():
            patterns = patterns_of(word)
            where.append("(" + " OR ".join([f"{SEARCHED} LIKE ? ESCAPE '\\'"] * len(patterns)) + ")")
            values += patterns
        return await self._rows(" AND ".join(where), values, limit)

    async def _rows(self, where: str, values: list[object], limit: int = -1) -> list[aiosqlite.Row]:
        query = f"{self._select} WHERE {where} ORDER BY u.id LIMIT ?"
        return await fetch(self._db, query, (*values, limit))

    async def get(self, identifier: str) -> ShownUser | None:
        rows = await fetch(
            self._db, f"{self._select} WHERE u.{self._identity.column} = ?", (self._identity.key(identifier.strip()),)
        )
        return next((user_json(row) for row in rows), None)

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

    async def all_users(self, batch: int = 1000, *, known: bool = False) -> AsyncIterator[list[ShownUser]]:
        after: int | None = 0
        while after is not None:
            users, after = await self.page(limit=batch, after=after, known=known)
            yield users


def user_json(row: aiosqlite.Row) -> ShownUser:
    """Return a user of SELECT_USER as a directory shows one."""
    return {
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "email": row["email"],
        "job_title": row["job_title"],
        "manager": row["manager"],
        "coach": row["coach"],
        "primary_team": row["primary_team"],
        "secondary_team": json.loads(row["secondary_team"]),
        "role": row["role"],
        "language": row["language"],
        "location": row["location"],
        "time_zone": row["time_zone"],
        "hire_date": row["hire_date"],
        "leave_date": row["leave_date"],
        "state": row["state"],
        "protected": bool(row["protected"]),
        "custom": json.loads(row["custom"]),
    }
