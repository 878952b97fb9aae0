"""The undo of an import in users.db: its tables, and what it writes, in one transaction.

The changes of the import are copied into a temporary table, each field of a user once, and processed from there.
Addresses may have moved from one user to another: they have their own table and are set back together.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import cast

import aiosqlite

from engine.sqlite.effects import OUTCOME_STATE, changed_a_user
from engine.sqlite.importing.applied import CHANGED_USERS
from ground.moments import rfc3339
from importer.model import Outcome
from importer.reconcile.roster import records_of
from importer.users.columns import LINKED, Columns, User, Value
from importer.users.runs import LONGEST
from importer.users.undoing import AddressesSetBack, AddressKept, Batch, Change

BATCH = 2000

NEWEST_CHANGE = (
    f"SELECT import_id FROM applied WHERE undone IS NULL AND {changed_a_user(OUTCOME_STATE)}"  # noqa: S608 - a constant
    " ORDER BY number DESC LIMIT 1"
)
INSERT_UNDONE = "INSERT INTO changes (import_id, user_id, field, old, new, undo) VALUES (?, ?, ?, ?, ?, 1)"

# One record for each run of users, as in runs.py. `place` counts the users, and `id - place` stays the same in a run.
RECORD_CREATION_UNDONE = f"""
    INSERT INTO changes (id, import_id, user_id, more, field, undo)
    SELECT (SELECT coalesce(max(id), 0) FROM changes) + max(place), ?, max(id), count(*) - 1, 'created', 1
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM users
        WHERE known = 0 AND id IN (SELECT user_id FROM created))
    GROUP BY id - place, id / {LONGEST}"""  # noqa: S608 - a constant


class SqliteUndoing:
    """The changes of one import, and its users, inside the undo's one transaction."""

    def __init__(self, db: aiosqlite.Connection, import_id: int) -> None:
        self._db = db
        self._id = import_id

    async def outcome(self) -> tuple[Outcome, bool] | None:
        rows = await self._rows("SELECT outcome, undone FROM applied WHERE import_id = ?", self._id)
        return next(((Outcome.from_json(json.loads(row[0])), bool(row[1])) for row in rows), None)

    async def newest(self) -> int | None:
        return next((row[0] for row in await self._rows(NEWEST_CHANGE)), None)

    async def active(self) -> int:
        rows = await self._rows("SELECT count(*) FROM users WHERE state = 'active'")
        return int(rows[0][0])

    async def record(self, outcome: Outcome, now: datetime) -> None:
        await self._db.execute(
            "UPDATE applied SET undone = ?, undone_at = ? WHERE import_id = ?",
            (json.dumps(outcome.to_json()), rfc3339(now), self._id),
        )
        # A manager's creation may have been undone: compare every row of the next file again.
        await self._db.execute("UPDATE meta SET revision = revision + 1")

    # Users it had created.

    async def deactivate_created(self) -> tuple[list[User], int]:
        await self._db.execute("CREATE TEMP TABLE created (user_id INTEGER PRIMARY KEY)")
        await self._db.execute(
            f"INSERT OR IGNORE INTO created SELECT u.id FROM {CHANGED_USERS}"  # noqa: S608 - constants
            " WHERE c.import_id = ? AND c.field = 'created'",
            (self._id,),
        )
        created = "IN (SELECT user_id FROM created)"
        protected = await self._rows(f"SELECT * FROM users WHERE protected = 1 AND id {created}")  # noqa: S608
        done = await self._db.execute(
            "UPDATE users SET state = 'deactivated', known = 0"  # noqa: S608
            f" WHERE protected = 0 AND id {created}"
        )
        await self._db.execute(RECORD_CREATION_UNDONE, (self._id,))
        await self._db.execute("DROP TABLE created")
        return list(_users(protected).values()), done.rowcount

    # Fields.

    async def batches(self) -> AsyncIterator[Batch]:
        await self._take_in()
        highest = (await self._rows("SELECT max(user_id) FROM undoing"))[0][0]
        after = 0
        while True:
            ids = await self._rows(
                "SELECT DISTINCT user_id FROM undoing WHERE user_id > ? ORDER BY user_id LIMIT ?",
                *(after, BATCH),
            )
            if not ids:
                return
            rows = await self._rows(
                "SELECT user_id, field, old, new FROM undoing"
                " WHERE user_id > ? AND user_id <= ? ORDER BY user_id, id",
                *(after, ids[-1][0]),
            )
            after = ids[-1][0]
            changes = {user: [Change(*row[1:]) for row in found] for user, found in groupby(rows, itemgetter(0))}
            yield Batch(changes, await self._load(changes), after / highest)

    async def _take_in(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE undoing (user_id INTEGER, id INTEGER, field TEXT, old, new,"
            " PRIMARY KEY (user_id, field)) WITHOUT ROWID"
        )
        # A field that the import changed twice is here once, with its first old and last new value. An import may
        # have spelled an address differently, then given it to another user.
        await self._db.execute(
            "INSERT INTO undoing SELECT user_id, id, field, old, new FROM changes"
            " WHERE import_id = ? AND field <> 'created' ORDER BY id ON CONFLICT DO UPDATE SET new = excluded.new",
            (self._id,),
        )

    async def _load(self, ids: Iterable[int]) -> dict[int, User]:
        """Return these users with all columns; users removed since then are left out."""
        return _users(
            await self._rows(
                "SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids))
            )
        )

    async def existing(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
        exists = {}
        for column, ids in wanted.items():
            rows = await self._rows(
                f"SELECT id FROM {LINKED[column]} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
                json.dumps(list(ids)),
            )
            exists[column] = {row[0] for row in rows}
        return exists

    async def update(self, changes: Sequence[tuple[User, Columns]]) -> None:
        by_columns: dict[tuple[str, ...], list[tuple[Value, ...]]] = {}
        history = []
        for user, columns in changes:
            by_columns.setdefault(tuple(columns), []).append((*columns.values(), user["id"]))
            history += [(self._id, user["id"], *record) for record in records_of(user, columns)]
        for names, rows in by_columns.items():
            setters = ", ".join(f"{name} = ?" for name in names)
            await self._db.executemany(f"UPDATE users SET {setters} WHERE id = ?", rows)  # noqa: S608
        await self._db.executemany(INSERT_UNDONE, history)

    # Addresses.

    async def set_back_addresses(self) -> AddressesSetBack:
        kept = await self._weigh_addresses()
        set_back = await self._move_addresses()
        await self._db.execute("DROP TABLE undoing")
        return AddressesSetBack(set_back, kept)

    async def _weigh_addresses(self) -> list[AddressKept]:
        await self._db.execute(
            "CREATE TEMP TABLE undo_address (user_id INTEGER PRIMARY KEY, old_email TEXT, old_key TEXT,"
            " new_email TEXT, refused INTEGER NOT NULL)"
        )
        await self._db.execute(
            """
            INSERT INTO undo_address
            SELECT u.id, e.old, iif(k.field IS NULL, u.email_key, k.old), e.new, u.email IS NOT e.new
            FROM undoing AS e JOIN users AS u ON u.id = e.user_id
                LEFT JOIN undoing AS k ON k.user_id = e.user_id AND k.field = 'email_key'
            WHERE e.field = 'email'"""
        )
        await self._refuse_taken()
        refused = await self._rows("SELECT user_id, old_email, refused FROM undo_address WHERE refused <> 0")
        users = await self._load(row["user_id"] for row in refused)
        return [AddressKept(users[row["user_id"]], row["old_email"], row["refused"] == 2) for row in refused]

    async def _refuse_taken(self) -> None:
        """Refuse an address that another user has and keeps; then the former one of its holder, and so on."""
        while True:
            done = await self._db.execute(
                """
                UPDATE undo_address SET refused = 2 WHERE refused = 0 AND EXISTS (
                    SELECT 1 FROM users AS h WHERE h.email_key = undo_address.old_key AND h.id <> undo_address.user_id
                    AND h.known = 1 AND h.id NOT IN (SELECT user_id FROM undo_address WHERE refused = 0))"""
            )
            if done.rowcount == 0:
                return

    async def _move_addresses(self) -> frozenset[int]:
        """Set back, with their history, the addresses that were not refused; return the ids of their users."""
        moving = "SELECT user_id FROM undo_address WHERE refused = 0"
        await self._db.execute(
            "INSERT INTO changes (import_id, user_id, field, old, new, undo)"
            " SELECT ?, user_id, 'email', new_email, old_email, 1 FROM undo_address WHERE refused = 0",
            (self._id,),
        )
        await self._db.execute(
            f"UPDATE users SET email = NULL, email_key = NULL WHERE id IN ({moving})"  # noqa: S608
        )
        # A user who still has one of them is unknown since this undo, or an earlier one.
        losing = "email_key IN (SELECT old_key FROM undo_address WHERE refused = 0)"
        await self._db.execute(
            "INSERT INTO changes (import_id, user_id, field, old, new, undo)"  # noqa: S608
            f" SELECT ?, id, 'email', email, NULL, 1 FROM users WHERE {losing}",
            (self._id,),
        )
        await self._db.execute(f"UPDATE users SET email = NULL, email_key = NULL WHERE {losing}")  # noqa: S608
        await self._db.execute(
            "UPDATE users SET email = a.old_email, email_key = a.old_key FROM undo_address AS a"
            " WHERE a.user_id = users.id AND a.refused = 0"
        )
        moved = frozenset(row[0] for row in await self._rows(moving))
        await self._db.execute("DROP TABLE undo_address")
        return moved

    async def _rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        return list(await self._db.execute_fetchall(statement, values))


def _users(rows: Iterable[aiosqlite.Row]) -> dict[int, User]:
    return cast(dict[int, User], {row["id"]: dict(row) for row in rows})
