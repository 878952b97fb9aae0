"""Invitations in users.db: rows that an import wrote in its own transaction."""

from __future__ import annotations

from collections.abc import Callable

import aiosqlite

from engine.sqlite.database import transaction
from engine.sqlite.faults import fetch, translating
from engine.sqlite.waits import STILL_WAITS
from importer.rules.emails import email_key
from importer.users.invitations import Asked, Invitation, today_at

NOWHERE_ELSE = (
    "NOT EXISTS (SELECT 1 FROM invitations AS other WHERE other.email_key = u.email_key AND other.state = 'sent')"
)
"""SQL: no invitation was sent to the address of the user `u`."""

USER = ("first_name", "last_name", "email", "job_title", "hire_date")


class SqliteInvitations:
    """The invitations in the open users.db `db`."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def waiting(self) -> int:
        rows = await fetch(
            self._db,
            "SELECT count(*) FROM invitations AS i JOIN users AS u ON u.id = i.user_id"  # noqa: S608 - no values in it
            f" WHERE i.state = 'waiting' AND u.state = 'active' AND {NOWHERE_ELSE}",
        )
        return int(rows[0][0])

    async def withdraw(self) -> None:
        if await fetch(self._db, "SELECT 1 FROM invitations WHERE state = 'waiting' LIMIT 1"):
            await self._write("DELETE FROM invitations WHERE state = 'waiting'")

    async def due(self, asked: Asked, limit: int) -> list[int]:
        return [each.user_id for each in await self._due(asked, "ORDER BY i.not_before, i.user_id LIMIT ?", limit)]

    async def begin(self, user_id: int, asked: Asked, next_try: Callable[[int], float]) -> Invitation | None:
        with translating():
            async with transaction(self._db):
                found = await self._due(asked, "AND i.user_id = ?", user_id)
                for each in found:
                    await self._db.execute(
                        "UPDATE invitations SET attempts = attempts + 1, not_before = ? WHERE user_id = ?",
                        (next_try(each.attempts + 1), user_id),
                    )
        return next(iter(found), None)

    async def sent(self, invitation: Invitation, at: str) -> None:
        await self._end(invitation, "sent", None, at, email_key(invitation.values["email"] or ""))

    async def failed(self, invitation: Invitation, error: str, *, ends: bool) -> None:
        await self._end(invitation, "given_up" if ends else "waiting", error, None, None)

    async def _due(self, asked: Asked, which: str, value: int) -> list[Invitation]:
        with translating():
            await self._db.create_function("today_in", 1, today_at(asked.now))
        rows = await fetch(
            self._db,
            "SELECT i.user_id, i.message_id, i.attempts, u.language, u.first_name, u.last_name, u.email, u.job_title,"  # noqa: S608 - no values in it
            " u.hire_date FROM invitations AS i JOIN users AS u ON u.id = i.user_id"
            f" WHERE i.state = 'waiting' AND NOT ({STILL_WAITS}) AND u.state = 'active'"
            f" AND u.email IS NOT NULL AND {NOWHERE_ELSE}"
            f" AND (NOT ? OR u.hire_date IS NULL OR u.hire_date <= today_in(u.time_zone)) {which}",
            (*asked.waits, asked.on_hire_date, value),
        )
        return [
            Invitation(row[0], row[1], row[2], row["language"], {name: row[name] for name in USER}) for row in rows
        ]

    async def _end(
        self, invitation: Invitation, state: str, error: str | None, at: str | None, mailed: str | None
    ) -> None:
        await self._write(
            "UPDATE invitations SET state = ?, error = ?, sent_at = ?, email_key = coalesce(?, email_key)"
            " WHERE user_id = ? AND message_id = ?",
            (state, error, at, mailed, invitation.user_id, invitation.message_id),
        )

    async def _write(self, statement: str, values: tuple[object, ...] = ()) -> None:
        with translating():
            async with transaction(self._db):
                await self._db.execute(statement, values)
