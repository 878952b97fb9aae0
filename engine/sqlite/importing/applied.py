"""The data of an import beside the users in users.db: the tables applied, changes and invitations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime

import aiosqlite

from ground.moments import rfc3339
from importer.messages.repeated import Note, notes_from_json, notes_to_json
from importer.model import Outcome
from importer.rules.identity import Identity
from importer.users.importing.applied import ChangedUser, LastApplied

TOUCHED_BATCH = 1000

# A record may be about several users. CROSS makes SQLite go from the records to the users, never from all users.
CHANGED_USERS = "changes AS c CROSS JOIN users AS u ON u.id BETWEEN c.user_id - c.more AND c.user_id"

TOUCHED = f"""
    SELECT u.id, u.email, u.external_id, u.first_name || ' ' || u.last_name AS name, u.state,
        max(c.field = 'created') AS created, max(c.field = 'state') AS moved
    FROM {CHANGED_USERS}
    WHERE c.import_id = ? GROUP BY u.id ORDER BY u.id"""  # noqa: S608 - a constant


FORMER_ADMINS = """
    SELECT coalesce(u.email, u.external_id, u.first_name || ' ' || u.last_name)
    FROM (SELECT user_id, max(iif(field = 'role', old, NULL)) AS role, max(iif(field = 'state', old, NULL)) AS state
        FROM changes WHERE import_id = ? AND field IN ('role', 'state') GROUP BY user_id) AS c
    JOIN users AS u ON u.id = c.user_id
    WHERE coalesce(c.role, u.role) = 'admin' AND coalesce(c.state, u.state) = 'active' ORDER BY u.id LIMIT 3"""


class SqliteApplied:
    """The stored data of one import, over a connection in its transaction."""

    def __init__(self, db: aiosqlite.Connection, import_id: int, identity: Identity) -> None:
        self._db = db
        self._id = import_id
        self._shown = identity.shown_column

    async def last(self) -> LastApplied | None:
        rows = await self._db.execute_fetchall(
            "SELECT rows, last_user FROM applied WHERE compared = 1 AND undone IS NULL ORDER BY number DESC LIMIT 1"
        )
        return next((LastApplied(*row) for row in rows), None)

    async def header_notes(self) -> frozenset[Note]:
        rows = await self._db.execute_fetchall(
            "SELECT header FROM applied WHERE compared = 1 AND number = ("
            "SELECT max(number) FROM applied WHERE compared = 1) AND undone IS NULL"
        )
        return next((notes_from_json(row[0]) for row in rows), frozenset())

    async def deactivates_others(self, users: Collection[int]) -> bool:
        rows = await self._db.execute_fetchall(
            "SELECT user_id FROM changes WHERE import_id = ? AND field = 'state' AND new = 'deactivated'", (self._id,)
        )
        return any(row[0] not in users for row in rows)

    async def former_admins(self) -> list[str]:
        """Run two queries. Most imports end at the first: it finds no admin among the users that the import changed.

        The second goes through all users until it finds an active admin.
        """
        former = [row[0] for row in await self._db.execute_fetchall(FORMER_ADMINS, (self._id,))]
        active = "SELECT 1 FROM users WHERE role = 'admin' AND state = 'active' LIMIT 1"
        return former if former and not list(await self._db.execute_fetchall(active)) else []

    async def changed(self) -> AsyncIterator[list[ChangedUser]]:
        async with self._db.execute(TOUCHED, (self._id,)) as cursor:
            while rows := list(await cursor.fetchmany(TOUCHED_BATCH)):
                yield [
                    ChangedUser(
                        row["id"],
                        row["email"],
                        row[self._shown],
                        row["name"],
                        row["state"],
                        bool(row["created"]),
                        bool(row["moved"]),
                    )
                    for row in rows
                ]

    async def invite(self) -> int:
        done = await self._db.execute(
            f"""
            INSERT INTO invitations (user_id, import_id, message_id, email_key)
            SELECT u.id, c.import_id, lower(hex(randomblob(16))), u.email_key
            FROM {CHANGED_USERS}
            WHERE c.import_id = ? AND u.state = 'active' AND u.email IS NOT NULL
                AND (c.field = 'created' OR (c.field = 'state' AND c.new = 'active'))
                AND NOT EXISTS (SELECT 1 FROM invitations AS other
                    WHERE other.email_key = u.email_key AND other.state = 'sent')
            ON CONFLICT (user_id) DO UPDATE SET import_id = excluded.import_id, message_id = excluded.message_id,
                email_key = excluded.email_key, state = 'waiting', attempts = 0, not_before = 0, error = NULL
                WHERE state <> 'sent'
            """,  # noqa: S608 - a constant
            (self._id,),
        )
        return done.rowcount

    async def record(
        self, outcome: Outcome, now: datetime, last_user: int | None, header: Iterable[Note], *, compared: bool
    ) -> None:
        facts = (json.dumps(outcome.to_json()), outcome.counts.rows, last_user, compared, notes_to_json(header))
        await self._db.execute(
            "INSERT INTO applied (import_id, applied_at, outcome, rows, last_user, compared, header, number)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM applied))",
            (self._id, rfc3339(now), *facts),
        )
