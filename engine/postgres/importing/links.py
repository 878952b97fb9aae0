"""Managers and coaches in PostgreSQL, and the temporary table of those that wait."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence

from engine.postgres.importing.work import AT_IDS, KEYS, OF_IMPORT, Work, texts
from importer.users.importing.links import ToDeactivated, Waiting

BATCH = 2000
WAITING = ("line", "user_id", "manager", "coach", "settles", "changed", "created")
LINK_NEW = f"""
    UPDATE users SET manager_id = coalesce((%(managers)s::jsonb ->> id::text)::bigint, manager_id),
        coach_id = coalesce((%(coaches)s::jsonb ->> id::text)::bigint, coach_id) WHERE {AT_IDS}"""  # noqa: S608
HOLDERS = f"""
    SELECT wanted.key, u.id FROM {KEYS} CROSS JOIN LATERAL (
        SELECT id FROM users
        WHERE tenant_id + 0 = %(tenant)s AND email_key = wanted.key AND known OFFSET 0) AS u"""  # noqa: S608
TO_DEACTIVATED = """
    SELECT u.id, u.shown, m.shown FROM (
        SELECT id, coalesce(email, external_id) AS shown, EXISTS (SELECT 1 FROM (SELECT * FROM changes
                WHERE tenant_id - 0 = %(tenant)s AND user_id = users.id OFFSET 0) AS c
                WHERE c.import_id = %(import)s AND c.field = 'state') AS moved
        FROM users WHERE tenant_id + 0 = %(tenant)s AND state = 'deactivated' OFFSET 0) AS m
    CROSS JOIN LATERAL (SELECT id, coalesce(email, external_id) AS shown FROM users
        WHERE tenant_id + 0 = %(tenant)s AND {field}_id = m.id AND state = 'active' OFFSET 0) AS u
    WHERE u.id >= %(first_new)s OR m.moved OR EXISTS (SELECT 1 FROM (SELECT * FROM changes
        WHERE tenant_id - 0 = %(tenant)s AND user_id = u.id OFFSET 0) AS c
        WHERE c.import_id = %(import)s AND c.field IN ('{field}_id', 'created'))"""
MANAGERS = """
    SELECT u.id, u.manager_id
    FROM unnest(ARRAY(SELECT DISTINCT manager_id FROM users
        WHERE tenant_id + 0 = %(tenant)s AND manager_id IS NOT NULL)) AS managers (id)
    CROSS JOIN LATERAL (SELECT id, manager_id FROM users
        WHERE tenant_id = %(tenant)s AND id = managers.id OFFSET 0) AS u WHERE u.manager_id IS NOT NULL"""


class PostgresStoredLinks:
    """The links of one import, inside its transaction."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def wait(self, waiting: Sequence[Waiting]) -> None:
        await self._work.make(
            "waiting_links",
            "line bigint PRIMARY KEY, user_id bigint NOT NULL, manager text, coach text, settles boolean NOT NULL,"
            " changed boolean NOT NULL, created boolean NOT NULL",
        )
        rows = (
            (w.line, w.user_id, w.texts.get("manager"), w.texts.get("coach"), w.settles, w.changed, w.created)
            for w in waiting
        )
        await self._work.copy("waiting_links", WAITING, rows)

    async def waiting(self, after: int) -> list[Waiting]:
        if not self._work.has("waiting_links"):
            return []
        rows = await self._work.rows(
            f"SELECT {', '.join(WAITING)} FROM waiting_links WHERE line > %(after)s ORDER BY line LIMIT {BATCH}",  # noqa: S608
            after=after,
        )
        return [_waiting(*row) for row in rows]

    async def link_new(self, links: Sequence[tuple[int | None, int | None, int]]) -> None:
        managers = {user: manager for manager, _, user in links if manager is not None}
        coaches = {user: coach for _, coach, user in links if coach is not None}
        if ids := managers | coaches:
            await self._work.change_users(LINK_NEW, ids, managers=json.dumps(managers), coaches=json.dumps(coaches))

    async def holders(self, email_keys: Sequence[str]) -> dict[str, int]:
        return dict(await self._work.rows(HOLDERS, keys=texts(email_keys)))

    async def to_deactivated(self, field: str, first_new_id: int) -> AsyncIterator[list[ToDeactivated]]:
        async for rows in self._work.pages(TO_DEACTIVATED.format(field=field), BATCH, first_new=first_new_id):
            yield [ToDeactivated(*row) for row in rows]

    async def managers(self) -> Iterable[tuple[int, int]]:
        return ((row[0], row[1]) for row in await self._work.rows(MANAGERS))

    async def with_changed_manager(self, first_new_id: int) -> set[int]:
        rows = await self._work.rows(
            f"SELECT user_id FROM changes WHERE {OF_IMPORT}"  # noqa: S608
            " AND (field = 'manager_id' OR (field = 'created' AND user_id < %(first_new)s))",
            first_new=first_new_id,
        )
        changed = {row[0] for row in rows}
        new = await self._work.rows(
            "SELECT id FROM users"
            " WHERE tenant_id = %(tenant)s AND id >= %(first_new)s AND manager_id IS NOT NULL LIMIT 1",
            first_new=first_new_id,
        )
        return changed | {row[0] for row in new}


def _waiting(
    line: int, user_id: int, manager: str | None, coach: str | None, settles: bool, changed: bool, created: bool
) -> Waiting:
    texts = {name: text for name, text in (("manager", manager), ("coach", coach)) if text is not None}
    return Waiting(user_id, line, texts, settles, changed, created)
