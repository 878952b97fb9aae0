"""The data of an import beside the users: the tables applied, changes and invitations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import datetime

from psycopg.types.json import Jsonb

from engine.postgres.importing.work import OF_IMPORT, Work
from ground.moments import rfc3339
from importer.messages.repeated import Note, notes_from_json, notes_to_json
from importer.model import Outcome
from importer.rules.identity import Identity
from importer.users.importing.applied import ChangedUser, LastApplied

TOUCHED_BATCH = 1000

# A record may be about several users.
CHANGED_USERS = f"""(
        SELECT * FROM changes WHERE {OF_IMPORT} ORDER BY id OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT * FROM users
        WHERE tenant_id = %(tenant)s AND id BETWEEN c.user_id - c.more AND c.user_id OFFSET 0) AS u"""  # noqa: S608
TOUCHED = f"""
    SELECT u.id, u.email, u.{{shown}}, u.first_name || ' ' || u.last_name, u.state,
        bool_or(c.field = 'created'), bool_or(c.field = 'state')
    FROM {CHANGED_USERS} GROUP BY u.id, u.email, u.{{shown}}, u.first_name, u.last_name, u.state ORDER BY u.id"""  # noqa: S608
FORMER_ADMINS = f"""
    SELECT coalesce(u.email, u.external_id, u.first_name || ' ' || u.last_name) FROM (
        SELECT user_id, max(old #>> '{{}}') FILTER (WHERE field = 'role') AS role,
            max(old #>> '{{}}') FILTER (WHERE field = 'state') AS state
        FROM changes WHERE {OF_IMPORT} AND field IN ('role', 'state')
        GROUP BY user_id OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT * FROM users WHERE tenant_id = %(tenant)s AND id = c.user_id OFFSET 0) AS u
    WHERE coalesce(c.role, u.role) = 'admin' AND coalesce(c.state, u.state) = 'active' ORDER BY u.id LIMIT 3"""  # noqa: S608
ACTIVE_ADMIN = "SELECT 1 FROM users WHERE tenant_id + 0 = %(tenant)s AND role = 'admin' AND state = 'active' LIMIT 1"
INVITE = f"""
    INSERT INTO invitations (tenant_id, user_id, import_id, message_id, email_key)
    SELECT DISTINCT ON (u.id) u.tenant_id, u.id, c.import_id, replace(gen_random_uuid()::text, '-', ''), u.email_key
    FROM {CHANGED_USERS}
    WHERE u.state = 'active' AND u.email IS NOT NULL
        AND (c.field = 'created' OR (c.field = 'state' AND c.new = '"active"'))
        AND NOT EXISTS (SELECT 1 FROM invitations AS other WHERE other.tenant_id + 0 = %(tenant)s
            AND other.email_key = u.email_key AND other.state = 'sent' OFFSET 0)
    ON CONFLICT (tenant_id, user_id) DO UPDATE SET import_id = excluded.import_id, message_id = excluded.message_id,
        email_key = excluded.email_key, state = 'waiting', attempts = 0, not_before = 0, error = NULL
        WHERE invitations.state <> 'sent'"""  # noqa: S608
RECORD = """
    INSERT INTO applied (tenant_id, import_id, applied_at, outcome, rows, last_user, compared, header, number)
    VALUES (%(tenant)s, %(import)s, %(at)s, %(outcome)s, %(rows)s, %(last_user)s, %(compared)s, %(header)s,
        (SELECT coalesce(max(number), 0) + 1 FROM applied WHERE tenant_id = %(tenant)s))"""


class PostgresApplied:
    """The stored data of one import, inside its transaction."""

    def __init__(self, work: Work, identity: Identity) -> None:
        self._work = work
        self._touched = TOUCHED.format(shown=identity.shown_column)

    async def last(self) -> LastApplied | None:
        rows = await self._work.rows(
            "SELECT rows, last_user FROM applied WHERE tenant_id = %(tenant)s AND compared AND undone IS NULL"
            " ORDER BY number DESC LIMIT 1"
        )
        return next((LastApplied(*row) for row in rows), None)

    async def header_notes(self) -> frozenset[Note]:
        rows = await self._work.rows(
            "SELECT header FROM (SELECT header, undone FROM applied WHERE tenant_id = %(tenant)s AND compared"
            " ORDER BY number DESC LIMIT 1) AS last WHERE undone IS NULL"
        )
        return next((notes_from_json(row[0]) for row in rows), frozenset())

    async def deactivates_others(self, users: Collection[int]) -> bool:
        rows = await self._work.rows(
            f"SELECT user_id FROM changes WHERE {OF_IMPORT} AND field = 'state' AND new = '\"deactivated\"'"  # noqa: S608
        )
        return any(row[0] not in users for row in rows)

    async def former_admins(self) -> list[str]:
        """Run two queries. Most imports end at the first: it finds no admin among the users that were changed."""
        former = [row[0] for row in await self._work.rows(FORMER_ADMINS)]
        return former if former and not await self._work.rows(ACTIVE_ADMIN) else []

    async def changed(self) -> AsyncIterator[list[ChangedUser]]:
        async for rows in self._work.pages(self._touched, TOUCHED_BATCH):
            yield [ChangedUser(*row) for row in rows]

    async def invite(self) -> int:
        return await self._work.change(INVITE)

    async def record(
        self, outcome: Outcome, now: datetime, last_user: int | None, header: Iterable[Note], *, compared: bool
    ) -> None:
        await self._work.require_claim()
        await self._work.change(
            RECORD,
            at=rfc3339(now),
            outcome=Jsonb(outcome.to_json()),
            rows=outcome.counts.rows,
            last_user=last_user,
            compared=compared,
            header=notes_to_json(header),
        )
