"""Invitations in PostgreSQL: rows that an import wrote in its own transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.postgres.rows import Row
from engine.postgres.tenant.reading import Reads
from engine.postgres.tenant.writing import Writes
from importer.rules.emails import email_key
from importer.users.invitations import Asked, Invitation, today_at

NOWHERE_ELSE = """NOT EXISTS (SELECT 1 FROM invitations AS other WHERE other.tenant_id + 0 = u.tenant_id
    AND other.email_key = u.email_key AND other.state = 'sent')"""
"""SQL: no invitation was sent to the address of the user `u`."""
WAITING = f"""
    FROM invitations AS i JOIN users AS u ON u.tenant_id = i.tenant_id AND u.id = i.user_id
    WHERE i.tenant_id + 0 = %(tenant)s AND i.state = 'waiting' AND u.state = 'active' AND {NOWHERE_ELSE}"""
WAITS = "FROM invitations WHERE tenant_id + 0 = %(tenant)s AND state = 'waiting'"
ZONES = f"SELECT DISTINCT coalesce(u.time_zone, '') {WAITING} AND u.hire_date IS NOT NULL"
# The days are those of Python: PostgreSQL may not know a time zone that Headcount knows.
DUE = f"""
    SELECT i.user_id, i.message_id, i.attempts, u.language, u.first_name, u.last_name, u.email, u.job_title,
        u.hire_date
    {WAITING} AND NOT (i.not_before > %(now)s AND i.not_before <= %(latest)s) AND u.email IS NOT NULL
    AND (NOT %(on_hire_date)s OR u.hire_date IS NULL OR u.hire_date <= (
        SELECT day FROM unnest(%(zones)s::text[], %(days)s::text[]) AS today (zone, day)
        WHERE zone = coalesce(u.time_zone, '')))"""  # noqa: S608 - constants

OF_USER = "AND i.tenant_id = %(tenant)s AND i.user_id = %(user_id)s"
USER = ("first_name", "last_name", "email", "job_title", "hire_date")

Fetch = Callable[..., Awaitable[list[Row]]]


class PostgresInvitations:
    """An `importer.users.invitations.Invitations`."""

    def __init__(self, reads: Reads, writes: Writes) -> None:
        self._reads = reads
        self._writes = writes

    async def waiting(self) -> int:
        ((waiting,),) = await self._reads.rows(f"SELECT count(*) {WAITING}")
        return int(waiting)

    async def withdraw(self) -> None:
        if await self._reads.rows(f"SELECT 1 {WAITS} LIMIT 1"):
            await self._write(f"DELETE {WAITS}")

    async def due(self, asked: Asked, limit: int) -> list[int]:
        async with self._reads.one_moment() as reads:
            first = "ORDER BY i.not_before, i.user_id LIMIT %(limit)s"
            found = await _due(reads.rows, asked, "", first, limit=limit)
        return [each.user_id for each in found]

    async def begin(self, user_id: int, asked: Asked, next_try: Callable[[int], float]) -> Invitation | None:
        async with self._writes() as (steps, tenant):
            found = await _due(steps.rows, asked, OF_USER, tenant=tenant, user_id=user_id)
            for each in found:
                await steps.change(
                    "UPDATE invitations SET attempts = attempts + 1, not_before = %s"
                    " WHERE tenant_id = %s AND user_id = %s",
                    *(next_try(each.attempts + 1), tenant, user_id),
                )
        return next(iter(found), None)

    async def sent(self, invitation: Invitation, at: str) -> None:
        await self._end(invitation, "sent", None, at, email_key(invitation.values["email"] or ""))

    async def failed(self, invitation: Invitation, error: str, *, ends: bool) -> None:
        await self._end(invitation, "given_up" if ends else "waiting", error, None, None)

    async def _end(
        self, invitation: Invitation, state: str, error: str | None, at: str | None, mailed: str | None
    ) -> None:
        await self._write(
            "UPDATE invitations SET state = %(state)s, error = %(error)s, sent_at = %(at)s,"
            " email_key = coalesce(%(mailed)s, email_key)"
            " WHERE tenant_id = %(tenant)s AND user_id = %(user_id)s AND message_id = %(message_id)s",
            state=state,
            error=error,
            at=at,
            mailed=mailed,
            user_id=invitation.user_id,
            message_id=invitation.message_id,
        )

    async def _write(self, statement: str, **values: object) -> None:
        async with self._writes() as (steps, tenant):
            await steps.change(statement, tenant=tenant, **values)


async def _due(fetch: Fetch, asked: Asked, which: str, first: str = "", **values: object) -> list[Invitation]:
    zones = [row[0] for row in await fetch(f"{ZONES} {which}", **values)] if asked.on_hire_date else []
    today_in = today_at(asked.now)
    days = [today_in(zone or None) for zone in zones]
    now, latest = asked.waits
    rows = await fetch(
        f"{DUE} {which} {first}",
        now=now,
        latest=latest,
        on_hire_date=asked.on_hire_date,
        zones=zones,
        days=days,
        **values,
    )
    return [Invitation(row[0], row[1], row[2], row["language"], {name: row[name] for name in USER}) for row in rows]
