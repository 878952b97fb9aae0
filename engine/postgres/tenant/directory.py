"""The users in PostgreSQL: looked up, searched and paged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from engine.postgres.rows import Row
from engine.postgres.tenant.reading import Reads
from engine.postgres.tenant.search import conditions
from importer.rules.cells import name_key
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import ALL, Report, ShownUser, Sort, Wanted, shown_user
from importer.users.search import sort_key

# The links are found after the users, so that no more of them are looked up than users are shown.
SELECT_USER = """
    SELECT u.*, {manager} AS manager, {coach} AS coach, t.name AS primary_team, l.name AS location,
        ARRAY(SELECT s.name FROM unnest(string_to_array(u.secondary_team_ids, ',')) WITH ORDINALITY AS i (id, place)
            JOIN teams AS s ON s.tenant_id = u.tenant_id AND s.id = i.id::bigint ORDER BY i.place) AS secondary_team
    FROM ({users}) AS u
        LEFT JOIN users AS m ON m.tenant_id = u.tenant_id AND m.id = u.manager_id
        LEFT JOIN users AS c ON c.tenant_id = u.tenant_id AND c.id = u.coach_id
        LEFT JOIN teams AS t ON t.tenant_id = u.tenant_id AND t.id = u.primary_team_id
        LEFT JOIN locations AS l ON l.tenant_id = u.tenant_id AND l.id = u.location_id
    ORDER BY u.id
"""
FOUND = "SELECT {columns} FROM users AS u WHERE {tenant} = %(tenant)s AND {where} ORDER BY u.id LIMIT %(limit)s"
BY_ID = "SELECT * FROM users AS u WHERE u.tenant_id = %(tenant)s AND u.id = ANY (%(ids)s)"
SORTED_BY = """u.id, u.first_name, u.last_name, u.email_key,
    (SELECT name FROM teams AS t WHERE t.tenant_id = u.tenant_id AND t.id = u.primary_team_id) AS team"""
TEAM = "(SELECT id FROM teams WHERE tenant_id + 0 = %(tenant)s AND key = %(team)s)"
DEACTIVATED = "u.state = 'deactivated'"
FILTERS = {
    "state": "u.state = %(state)s",
    "team": f"(u.primary_team_id = {TEAM} OR {TEAM}::text = ANY (string_to_array(u.secondary_team_ids, ',')))",
    "location": "u.location_id = (SELECT id FROM locations WHERE tenant_id + 0 = %(tenant)s AND key = %(location)s)",
    "protected": "u.protected = %(protected)s",
}
"""The conditions on a user, by the filter that needs them. No user has a team or location that is unknown."""
REPORTS = """
    SELECT {identifier} AS identifier, u.first_name || ' ' || u.last_name AS name, u.state FROM users AS u
    WHERE u.tenant_id + 0 = %(tenant)s AND u.known
        AND u.{link}_id = (SELECT id FROM users WHERE tenant_id + 0 = %(tenant)s AND {column} = %(key)s)
    ORDER BY u.id LIMIT %(limit)s"""
COUNTS = """
    SELECT count(*) AS total, count(*) FILTER (WHERE state = 'deactivated') AS deactivated
    FROM users WHERE tenant_id = %(tenant)s"""

ORDERS: dict[Sort, Callable[[Row], tuple[Any, ...]]] = {
    Sort.LAST_NAME: lambda row: (sort_key(row["last_name"]), sort_key(row["first_name"])),
    Sort.FIRST_NAME: lambda row: (sort_key(row["first_name"]), sort_key(row["last_name"])),
    Sort.EMAIL: lambda row: (row["email_key"] is None, row["email_key"] or ""),
    Sort.TEAM: lambda row: (
        row["team"] is None,
        *map(sort_key, (row["team"], row["last_name"], row["first_name"])),
    ),
}


class PostgresDirectory:
    """An `importer.users.directory.Directory`."""

    def __init__(self, reads: Reads, identity: Identity = BY_ADDRESS) -> None:
        self._reads = reads
        self._identity = identity

    async def count_by_state(self) -> dict[str, int]:
        ((total, deactivated),) = await self._reads.rows(COUNTS)
        return {"active": total - deactivated, "deactivated": deactivated}

    async def page(
        self, wanted: Wanted = ALL, *, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[ShownUser], int | None]:
        where, values = _asked(wanted, known=known)
        found = await self._users(_found("*", where), self._reads, **values, after=after, limit=limit + 1)
        more = found[limit - 1]["id"] if len(found) > limit else None
        return [_shown(row) for row in found[:limit]], more

    async def sorted_page(
        self, wanted: Wanted, sort: Sort, *, skip: int, limit: int, most: int
    ) -> tuple[list[ShownUser], int] | None:
        where, values = _asked(wanted)
        async with self._reads.one_moment() as reads:
            found = await reads.rows(_found(SORTED_BY, where), **values, after=0, limit=most + 1)
            if len(found) > most:
                return None
            if sort is Sort.NEWEST:
                found.reverse()
            elif sort is not Sort.CREATED:
                found.sort(key=ORDERS[sort])
            shown = [row["id"] for row in found[skip : skip + limit]]
            rows = {row["id"]: row for row in await self._users(BY_ID, reads, ids=shown)}
        return [_shown(rows[each]) for each in shown], len(found)

    async def names(self, limit: int) -> tuple[list[str], list[str]]:
        async with self._reads.one_moment() as reads:
            teams, locations = [
                [
                    row[0]
                    for row in await reads.rows(
                        f"SELECT name FROM {table} WHERE tenant_id + 0 = %(tenant)s ORDER BY key LIMIT %(limit)s",  # noqa: S608
                        limit=limit,
                    )
                ]
                for table in ("teams", "locations")
            ]
        return teams, locations

    async def get(self, identifier: str) -> ShownUser | None:
        column = self._identity.column
        by_key = f"SELECT * FROM users WHERE tenant_id + 0 = %(tenant)s AND {column} = %(key)s"  # noqa: S608
        rows = await self._users(by_key, self._reads, key=self._identity.key(identifier.strip()))
        return next((_shown(row) for row in rows), None)

    async def reports(self, identifier: str, limit: int = 100) -> dict[str, list[Report]]:
        found: dict[str, list[Report]] = {}
        identity, values = self._identity, {"key": self._identity.key(identifier.strip()), "limit": limit}
        async with self._reads.one_moment() as reads:
            for link in ("manager", "coach"):
                query = REPORTS.format(link=link, identifier=identity.shown_sql("u"), column=identity.column)
                found[f"{link}_of"] = [
                    {"identifier": row[0], "name": row[1], "state": row[2]}
                    for row in await reads.rows(query, **values)
                ]
        return found

    async def all_users(
        self, batch: int = 1000, *, known: bool = False, wanted: Wanted = ALL
    ) -> AsyncIterator[list[ShownUser]]:
        after: int | None = 0
        while after is not None:
            users, after = await self.page(wanted, limit=batch, after=after, known=known)
            yield users

    async def _users(self, users: str, reads: Reads, **values: object) -> list[Row]:
        """Return the users that the query `users` finds, with names, in the order of their creation."""
        manager, coach = self._identity.shown_sql("m"), self._identity.shown_sql("c")
        return await reads.rows(SELECT_USER.format(users=users, manager=manager, coach=coach), **values)


def _found(columns: str, where: list[str]) -> str:
    """Return the query for the first users above `after` for which all of `where` is true."""
    # Few users are deactivated: they have an index, which the other spelling of the tenant finds.
    tenant = "u.tenant_id + 0" if DEACTIVATED in where else "u.tenant_id"
    return FOUND.format(columns=columns, tenant=tenant, where=" AND ".join(["u.id > %(after)s", *where]))


def _asked(wanted: Wanted, *, known: bool = False) -> tuple[list[str], dict[str, object]]:
    """Return the conditions on these users, and their values by name."""
    values: dict[str, object] = {
        "state": wanted.state,
        "team": None if wanted.team is None else name_key(wanted.team.strip()),
        "location": None if wanted.location is None else name_key(wanted.location.strip()),
        "protected": wanted.protected,
    }
    where, searched = conditions(wanted.search)
    where += [FILTERS[name] for name, value in values.items() if value is not None]
    where += [DEACTIVATED] * (wanted.state == "deactivated")
    return [*where, *["u.known"] * known], {**values, **searched}


def _shown(row: Row) -> ShownUser:
    return shown_user(row, row["secondary_team"])
