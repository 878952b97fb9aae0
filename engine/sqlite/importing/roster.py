"""The table users and the tables beside it, as an import reads and writes them: a batch in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import aiosqlite

from engine.sqlite.tenant.switching import refuse_switched, switch_identity
from importer.reconcile.roster import records_of
from importer.rules.identity import Identity
from importer.users.columns import COLUMNS, User, Value
from importer.users.importing.roster import Beginning, Names
from importer.users.runs import runs_of

CREATE_AGAIN = f"UPDATE users SET {', '.join(f'{name} = ?' for name in COLUMNS)}, known = 1 WHERE id = ?"  # noqa: S608
INSERT_CHANGE = "INSERT INTO changes (import_id, user_id, field, old, new) VALUES (?, ?, ?, ?, ?)"
INSERT_CREATED = (
    "INSERT INTO changes (id, import_id, user_id, more, field)"
    " VALUES ((SELECT coalesce(max(id), 0) + 1 FROM changes) + ?3, ?1, ?2, ?3, 'created')"
)
"""One record for a run of new users. Their numbers are the next free ones; its own is the last of these."""


class SqliteStoredUsers:
    """The users in users.db, inside the transaction of an import."""

    def __init__(self, db: aiosqlite.Connection, import_id: int, identity: Identity) -> None:
        self._db = db
        self._import_id = import_id
        self._identity = identity
        self._column = identity.column
        self._dropped: list[str] = []

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE strangers (key TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID"
        )

    async def use_identity(self, *, tried: bool) -> None:
        if tried:
            await switch_identity(self._db, self._identity)
        else:
            await refuse_switched(self._db, self._identity)

    async def beginning(self) -> Beginning:
        # Never reuse the id of a user who was removed by hand: history and invitations refer to it.
        (highest, total, deactivated, unknown), *_ = await self._db.execute_fetchall(
            "SELECT max(coalesce(max(id), 0), (SELECT coalesce(max(user_id), 0) FROM changes),"
            " (SELECT coalesce(max(user_id), 0) FROM invitations)), (SELECT count(*) FROM users),"
            " (SELECT count(*) FROM users WHERE state = 'deactivated'),"
            " (SELECT count(*) FROM users WHERE state = 'deactivated' AND known = 0) FROM users"
        )
        ((revision,),) = await self._db.execute_fetchall("SELECT revision FROM meta")
        return Beginning(highest, total, deactivated, unknown, revision)

    async def expect_all_new(self) -> None:
        """Drop the indexes that only `index_links` and later steps need: built at the end they cost half."""
        rows = await self._db.execute_fetchall(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name IN ('users_manager', 'users_coach')"
        )
        for name, sql in rows:
            await self._db.execute(f"DROP INDEX {name}")
            self._dropped.append(sql)

    async def index_links(self) -> None:
        while self._dropped:
            await self._db.execute(self._dropped.pop())

    async def deactivated(self) -> list[int]:
        return [row[0] for row in await self._db.execute_fetchall("SELECT id FROM users WHERE state = 'deactivated'")]

    # Looking up.

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            f"SELECT u.{self._column}, u.id FROM json_each(?) AS wanted"  # noqa: S608 - one of two columns
            f" JOIN users AS u ON u.{self._column} = wanted.value AND u.known = 1",
            (json.dumps(sorted(keys)),),  # neighboring keys are on one page of the index
        )
        return {row[0]: row[1] for row in rows}

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            f"SELECT u.{self._column}, u.id FROM json_each(?) AS wanted"  # noqa: S608 - one of two columns
            f" JOIN users AS u ON u.{self._column} = wanted.value AND u.known = 0",
            (json.dumps(list(keys)),),
        )
        return {row[0]: row[1] for row in rows}

    async def load(self, ids: Iterable[int], *, active: bool = False) -> dict[int, User]:
        where = "WHERE u.state = 'active'" if active else ""
        rows = list(
            await self._db.execute_fetchall(
                f"SELECT u.id, u.* FROM json_each(?) AS wanted JOIN users AS u ON u.id = wanted.value {where}",  # noqa: S608
                (json.dumps(list(ids)),),
            )
        )
        names = rows[0].keys() if rows else []
        return cast(dict[int, User], {row[0]: dict(zip(names, row, strict=True)) for row in rows})

    # Keys of rows that identify no user.

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            "SELECT key, line FROM strangers WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(list(keys)),)
        )
        return {row[0]: row[1] for row in rows}

    async def add_strangers(self, lines: Mapping[str, int]) -> None:
        await self._db.executemany("INSERT INTO strangers VALUES (?, ?)", list(lines.items()))

    # Teams and locations.

    async def ids_of(self, what: Names, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            f"SELECT key, id FROM {what} WHERE key IN (SELECT value FROM json_each(?))",  # noqa: S608 - one of two
            (json.dumps(list(keys)),),
        )
        return {row[0]: row[1] for row in rows}

    async def make(self, what: Names, names: Mapping[str, str]) -> None:
        await self._db.executemany(
            f"INSERT INTO {what} (key, name) VALUES (?, ?)",  # noqa: S608 - one of two tables
            list(names.items()),
        )

    # Writing.

    async def create(self, users: Iterable[tuple[Value, ...]], columns: Sequence[str] = COLUMNS) -> None:
        await self._db.executemany(
            f"INSERT INTO users (id, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})",  # noqa: S608 - ours
            users,
        )

    async def note_created(self, ids: Sequence[int], others: Sequence[int]) -> None:
        """Write one record for each run of ids."""
        runs = runs_of(sorted([*ids, *others]) if others else ids)
        await self._db.executemany(INSERT_CREATED, [(self._import_id, last, more) for last, more in runs])

    async def create_again(self, users: Sequence[tuple[Value, ...]]) -> None:
        """Write one record of history for each user: most files bring few of them."""
        if users:
            await self._db.executemany(CREATE_AGAIN, [(*user[1:], user[0]) for user in users])
            await self._db.executemany(
                INSERT_CHANGE, [(self._import_id, user[0], "created", None, None) for user in users]
            )

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        by_columns: dict[tuple[str, ...], list[tuple[Value, ...]]] = {}
        history = []
        for user, changed in changes:
            values = (*changed.values(), user["id"])
            by_columns.setdefault(tuple(changed), []).append(values)
            history += [(self._import_id, user["id"], *record) for record in records_of(user, changed)]
        for columns, rows in by_columns.items():
            setters = ", ".join(f"{name} = ?" for name in columns)
            await self._db.executemany(f"UPDATE users SET {setters} WHERE id = ?", rows)  # noqa: S608
        await self._db.executemany(INSERT_CHANGE, history)
