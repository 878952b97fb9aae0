"""New users and deactivated ones who may be the same person: compared in users.db, by its history.

Users that this import created are compared with users that it deactivated, or whose address it gave to another user.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import aiosqlite

from importer.rules.cells import name_key
from importer.rules.identity import Identity
from importer.users.importing.pairs import FoundPair

PAGE = 1000
LOOK = 1000
"""The number of users that are checked first: most fields that users share are shared by some of these."""


class SqliteFoundPairs:
    """The pairs of one import, over a connection in its transaction."""

    def __init__(self, db: aiosqlite.Connection, import_id: int, identity: Identity) -> None:
        self._db = db
        self._id = import_id
        self._shown = identity.shown_column

    async def _make(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE pairs (new INTEGER PRIMARY KEY, old INTEGER NOT NULL UNIQUE, shared TEXT NOT NULL)"
        )

    async def find_by_address(self, first_new_id: int) -> None:
        await self._make()
        await self._db.execute(
            f"""
            INSERT OR IGNORE INTO pairs
            SELECT new.id, lost.user_id, 'email' FROM changes AS lost
                JOIN users AS new ON new.email_key = lost.old
                JOIN users AS old ON old.id = lost.user_id
            WHERE lost.import_id = :id AND lost.field = 'email_key' AND old.state = 'deactivated'
                AND new.state = 'active' AND new.id <> old.id AND {self._created("new.id")}""",  # noqa: S608 - no values
            {"id": self._id, "first": first_new_id},
        )

    def _created(self, user: str) -> str:
        return (
            f"({user} >= :first OR EXISTS (SELECT 1 FROM changes AS c WHERE c.user_id = {user}"  # noqa: S608
            " AND c.import_id = :id AND c.field = 'created'))"
        )

    async def find_by_fields(self, fields: Iterable[str], first_new_id: int) -> None:
        await self._make()
        await self._db.create_function("full_name", 2, _full_name, deterministic=True)
        await self._db.execute("CREATE TEMP TABLE deactivated (id INTEGER PRIMARY KEY)")
        await self._db.execute(
            "INSERT INTO deactivated SELECT DISTINCT user_id FROM changes"
            " WHERE import_id = ? AND field = 'state' AND new = 'deactivated'",
            (self._id,),
        )
        for field in fields:
            await self._pair(field, f"json_extract(u.custom, '$.{field}')", first_new_id, alone=True)
        await self._pair("name", "full_name(u.first_name, u.last_name)", first_new_id, alone=False)

    async def _pair(self, shared: str, value: str, first_new_id: int, *, alone: bool) -> None:
        """Pair users who share a value; with `alone` only if no two active users share a value of this field."""
        for table in ("old_values", "new_values"):
            await self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")
            await self._db.execute(f"CREATE TEMP TABLE {table} (value, id INTEGER, place INTEGER)")
        await self._db.execute("CREATE INDEX temp.old_by_value ON old_values (value)")
        place = "row_number() OVER (PARTITION BY value ORDER BY id)"
        await self._db.execute(
            f"INSERT INTO old_values SELECT value, id, {place} FROM (SELECT {value} AS value, u.id"  # noqa: S608
            " FROM deactivated JOIN users AS u ON u.id = deactivated.id WHERE u.id NOT IN (SELECT old FROM pairs))"
            " WHERE value IS NOT NULL"
        )
        ((any_old,),) = await self._db.execute_fetchall("SELECT EXISTS (SELECT 1 FROM old_values)")
        if not any_old:
            return
        await self._db.execute(
            f"INSERT INTO new_values SELECT value, id, {place} FROM (SELECT {value} AS value, u.id FROM users AS u"  # noqa: S608
            " WHERE (u.id >= :first OR u.id IN (SELECT user_id FROM changes WHERE import_id = :id"
            " AND field = 'created' AND user_id < :first)) AND u.state = 'active'"
            " AND u.id NOT IN (SELECT new FROM pairs)) WHERE value IN (SELECT value FROM old_values)",
            {"id": self._id, "first": first_new_id},
        )
        ((any_new,),) = await self._db.execute_fetchall("SELECT EXISTS (SELECT 1 FROM new_values)")
        if any_new and not (alone and await self._is_shared(value)):
            await self._db.execute(
                "INSERT INTO pairs SELECT n.id, o.id, ? FROM new_values AS n"
                " JOIN old_values AS o ON o.value = n.value AND o.place = n.place",
                (shared,),
            )

    async def _is_shared(self, value: str) -> bool:
        """Return whether two active users have the same value of this field."""
        for limit in (LOOK, -1):
            ((shared,),) = await self._db.execute_fetchall(
                f"SELECT EXISTS (SELECT 1 FROM (SELECT {value} AS value FROM users AS u WHERE u.state = 'active'"  # noqa: S608
                " ORDER BY u.id LIMIT ?) WHERE value IS NOT NULL GROUP BY value HAVING count(*) > 1)",
                (limit,),
            )
            if shared:
                return True
        return False

    async def has(self, user_id: int | None) -> bool:
        return bool(list(await self._db.execute_fetchall("SELECT 1 FROM pairs WHERE old = ?", (user_id,))))

    async def page(self, after: int) -> list[FoundPair]:
        rows = await self._db.execute_fetchall(
            f"SELECT p.new, n.{self._shown}, o.{self._shown}, p.shared, n.email, n.custom,"  # noqa: S608
            " n.first_name || ' ' || n.last_name AS name, EXISTS (SELECT 1 FROM changes AS c"
            "  WHERE c.user_id = p.old AND c.import_id = ? AND c.field = 'state') AS now"
            " FROM pairs AS p JOIN users AS n ON n.id = p.new JOIN users AS o ON o.id = p.old"
            " WHERE p.new > ? ORDER BY p.new LIMIT ?",
            (self._id, after, PAGE),
        )
        return [_pair_in(row) for row in rows]


def _pair_in(row: aiosqlite.Row) -> FoundPair:
    shared = row["shared"]
    value = row[shared] if shared in ("email", "name") else json.loads(row["custom"])[shared]
    return FoundPair(row["new"], str(row[1]), str(row[2]), shared, str(value), bool(row["now"]))


def _full_name(first: str, last: str) -> str:
    return name_key(f"{first} {last}")
