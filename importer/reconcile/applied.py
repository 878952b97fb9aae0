"""What users.db keeps of an import beside the users: that it was applied, what it changed, and whom it invites.

The tables applied, changes and invitations. They are written in the import's own transaction, so that one that is
rolled back leaves nothing in them and invites no user. When and how invitations are sent is decided in server/notify.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

import aiosqlite

from ground.moments import rfc3339
from importer.database import open_database
from importer.model import Outcome
from importer.reconcile.plan import LastApplied
from importer.rules.identity import Identity
from importer.said.repeated import Note, notes_from_json, notes_to_json
from importer.said.spool import Touched

TOUCHED_BATCH = 1000

# A record may be about several users. CROSS: SQLite goes from the records to the users, never from all users.
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


class Applied:
    """What is kept of one import, inside a transaction of users.db."""

    def __init__(self, db: aiosqlite.Connection, import_id: int) -> None:
        self._db = db
        self._id = import_id

    async def last(self) -> LastApplied | None:
        """Return what the file is compared with; None if no import is applied that could be."""
        rows = await self._db.execute_fetchall(
            "SELECT rows, last_user FROM applied WHERE compared = 1 AND undone IS NULL ORDER BY number DESC LIMIT 1"
        )
        return next((LastApplied(*row) for row in rows), None)

    async def header_notes(self) -> frozenset[Note]:
        """Return what was true of the header of the file that this one is compared with; nothing if it was undone."""
        rows = await self._db.execute_fetchall(
            "SELECT header FROM applied WHERE compared = 1 AND number = ("
            "SELECT max(number) FROM applied WHERE compared = 1) AND undone IS NULL"
        )
        return next((notes_from_json(row[0]) for row in rows), frozenset())

    async def deactivates_others(self, users: Collection[int]) -> bool:
        """Return whether this import deactivates a user who is not among `users`."""
        rows = await self._db.execute_fetchall(
            "SELECT user_id FROM changes WHERE import_id = ? AND field = 'state' AND new = 'deactivated'", (self._id,)
        )
        return any(row[0] not in users for row in rows)

    async def former_admins(self) -> list[str]:
        """Return up to three users who were active admins before this import, if none is active after it; else none.

        Most imports end at the first look, which finds no admin among the users that the import has changed. The
        second goes through all users until it finds one.
        """
        former = [row[0] for row in await self._db.execute_fetchall(FORMER_ADMINS, (self._id,))]
        active = "SELECT 1 FROM users WHERE role = 'admin' AND state = 'active' LIMIT 1"
        return former if former and not list(await self._db.execute_fetchall(active)) else []

    async def touched(self, identity: Identity, line_of: Callable[[int], int]) -> AsyncIterator[list[Touched]]:
        """Yield the users that this import touches, and how: read from its changes before they are rolled back.

        `line_of` tells the line of a user in the file, 0 for an absent one.
        """
        async with self._db.execute(TOUCHED, (self._id,)) as cursor:
            while rows := list(await cursor.fetchmany(TOUCHED_BATCH)):
                yield [_touched(row, identity, line_of) for row in rows]

    async def invite(self) -> int:
        """Put active users whom this import created, or brought back, among those to invite; return their number.

        A user who was invited before is not again, nor is another user at an address that was; an invitation that was
        never delivered is tried anew.
        """
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
        """Remember the import as applied. After a crash this alone decides whether it happened.

        `compared`: later files are compared with this one, whose last row was about `last_user`, and of whose header
        the notes `header` are true.
        """
        facts = (json.dumps(outcome.to_json()), outcome.counts.rows, last_user, compared, notes_to_json(header))
        await self._db.execute(
            "INSERT INTO applied (import_id, applied_at, outcome, rows, last_user, compared, header, number)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(number), 0) + 1 FROM applied))",
            (self._id, rfc3339(now), *facts),
        )


async def already_applied(database: Path, import_id: int) -> Outcome | None:
    """Return the outcome of this import if its effects are in `database`; None if they are not."""
    return await _kept(database, "SELECT outcome FROM applied WHERE import_id = ?", import_id)


async def already_undone(database: Path, import_id: int) -> Outcome | None:
    """Return the outcome of the undo if its effects are in `database`; None if they are not."""
    return await _kept(database, "SELECT undone FROM applied WHERE import_id = ?", import_id)


async def _kept(database: Path, query: str, import_id: int) -> Outcome | None:
    db = await open_database(database, "tenant")
    try:
        rows = list(await db.execute_fetchall(query, (import_id,)))
    finally:
        await db.close()
    return Outcome.from_json(json.loads(rows[0][0])) if rows and rows[0][0] else None


def _touched(row: aiosqlite.Row, identity: Identity, line_of: Callable[[int], int]) -> Touched:
    action = "updated"
    if row["created"]:
        action = "created"
    elif row["moved"]:
        action = "deactivated" if row["state"] == "deactivated" else "reactivated"
    return {
        "action": action,
        "user_id": None if row["created"] else row["id"],
        "identifier": row[identity.shown_column],
        "email": row["email"],
        "name": row["name"],
        "absent": action == "deactivated" and not line_of(row["id"]),
    }
