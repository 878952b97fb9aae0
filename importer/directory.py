"""The users of one tenant as people see them: look up, search, page, protect, and write out as a `sync_users.csv`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiosqlite

from importer.database import open_database, transaction
from importer.fields import columns_under
from importer.folder import TenantFolder
from importer.formulas import escape_formula
from importer.identity import BY_ADDRESS, Identity
from importer.rules import date_in, join_names
from importer.settings import ImportSettings

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


class Directory:
    """Reads the users over an open connection to users.db; changes only what an operator changes by hand."""

    def __init__(self, db: aiosqlite.Connection, identity: Identity = BY_ADDRESS) -> None:
        self._db = db
        self._identity = identity
        self._select = SELECT_USER.format(manager=identity.shown_sql("m"), coach=identity.shown_sql("c"))

    async def count_by_state(self) -> dict[str, int]:
        """How many users are active and how many deactivated."""
        (total, gone), *_ = await self._db.execute_fetchall(
            "SELECT count(*), (SELECT count(*) FROM users WHERE state = 'deactivated') FROM users"
        )
        return {"active": total - gone, "deactivated": gone}

    async def page(
        self, *, search: str = "", state: str | None = None, limit: int = 100, after: int = 0, known: bool = False
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Up to `limit` users in the order they were created, and the `after` of the next page (None: no more).

        `search` looks for its text in names, address and identifier, without case. With `known` those whose creation
        was undone are left out.
        """
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = await self._db.execute_fetchall(
            self._select
            + """ WHERE u.id > :after AND (:state IS NULL OR u.state = :state) AND u.known >= :known AND (:search = ''
                OR u.email LIKE :pattern ESCAPE '\\' OR u.external_id LIKE :pattern ESCAPE '\\'
                OR u.first_name || ' ' || u.last_name LIKE :pattern ESCAPE '\\')
            ORDER BY u.id LIMIT :limit""",
            {
                "after": after,
                "state": state,
                "search": search,
                "pattern": pattern,
                "limit": limit + 1,
                "known": known,
            },
        )
        found = list(rows)
        more = found[limit - 1]["id"] if len(found) > limit else None
        return [user_json(row) for row in found[:limit]], more

    async def get(self, identifier: str) -> dict[str, Any] | None:
        """The user of this identifier; None if there is nobody."""
        rows = await self._db.execute_fetchall(
            f"{self._select} WHERE u.{self._identity.column} = ?", (self._identity.key(identifier.strip()),)
        )
        return next((user_json(row) for row in rows), None)

    async def reports(self, identifier: str, limit: int = 100) -> dict[str, list[dict[str, Any]]]:
        """Whose manager and whose coach this user is (`manager_of`, `coach_of`), up to `limit` of each.

        Each with identifier, name and state, in the order they were created; without those whose creation was undone.
        """
        found = {}
        for link in ("manager", "coach"):
            rows = await self._db.execute_fetchall(
                f"SELECT {self._identity.shown_sql('u')}, u.first_name || ' ' || u.last_name, u.state"  # noqa: S608
                f" FROM users AS u WHERE u.{link}_id = (SELECT id FROM users WHERE {self._identity.column} = ?)"
                " AND u.known = 1 ORDER BY u.id LIMIT ?",
                (self._identity.key(identifier.strip()), limit),
            )
            found[f"{link}_of"] = [{"identifier": row[0], "name": row[1], "state": row[2]} for row in rows]
        return found

    async def everybody(self, batch: int = 1000, *, known: bool = False) -> AsyncIterator[list[dict[str, Any]]]:
        """All users, deactivated ones too, in batches; with `known` not those whose creation was undone."""
        after: int | None = 0
        while after is not None:
            users, after = await self.page(limit=batch, after=after, known=known)
            yield users

    async def set_protected(self, identifier: str, protected: bool) -> bool:
        """From now on imports don't (or do again) deactivate this user; False if there is nobody of that name."""
        async with transaction(self._db):
            cursor = await self._db.execute(
                f"UPDATE users SET protected = ? WHERE {self._identity.column} = ?",  # noqa: S608 - one of two columns
                (protected, self._identity.key(identifier.strip())),
            )
            return cursor.rowcount == 1


@asynccontextmanager
async def open_directory(folder: TenantFolder, identity: Identity) -> AsyncIterator[Directory]:
    """The users of the tenant in `folder`, to be read only, over a connection of its own that nobody waits for."""
    db = await open_database(folder.users_db, "tenant", readonly=True)
    try:
        yield Directory(db, identity)
    finally:
        await db.close()


def user_json(row: aiosqlite.Row) -> dict[str, Any]:
    """A user as the API and the CLI show one."""
    plain = ("first_name", "last_name", "email", "job_title", "manager", "coach", "primary_team")
    rest = ("role", "language", "location", "time_zone", "hire_date", "state")
    return {
        **{name: row[name] for name in plain},
        "secondary_team": json.loads(row["secondary_team"]),
        **{name: row[name] for name in rest},
        "protected": bool(row["protected"]),
        "custom": json.loads(row["custom"]),
    }


class Export:
    """Users as rows of a `sync_users.csv` that a tenant may send: importing it changes nobody."""

    def __init__(self, settings: ImportSettings) -> None:
        names = settings.names
        headers = {name: names.header(name) for name in settings.columns}
        self.header = [escape_formula(header) for header in headers.values() if header]
        self._columns = [name for name, header in headers.items() if header]
        self._rules = columns_under(settings)
        self._date_format = settings.date_format
        self._dates = {"hire_date", *(field.key for field in settings.custom_fields if field.type == "date")}

    def cells(self, user: Mapping[str, Any]) -> list[str]:
        """One user, as `user_json` shows one."""
        values = {**user["custom"], **user, "deactivate": user["state"] == "deactivated" or None}
        return [escape_formula(self._rules[name].cell(self._text(name, values.get(name)))) for name in self._columns]

    def _text(self, name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "1" if value else "0"
        if isinstance(value, list):
            return join_names(value)
        if name in self._dates:
            with suppress(ValueError, TypeError):  # from before the field held dates
                return date_in(value, self._date_format)
        return str(value)
