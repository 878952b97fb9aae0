"""Managers and coaches in users.db, and the temporary table of those that wait."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence

import aiosqlite

from importer.users.importing.links import ToDeactivated, Waiting

BATCH = 2000


class SqliteStoredLinks:
    """The links of one import, over a connection in its transaction."""

    def __init__(self, db: aiosqlite.Connection, import_id: int) -> None:
        self._db = db
        self._import_id = import_id

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE waiting_links (line INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, manager TEXT,"
            " coach TEXT, settles INTEGER NOT NULL, changed INTEGER NOT NULL, created INTEGER NOT NULL)"
        )

    async def wait(self, waiting: Sequence[Waiting]) -> None:
        rows = [
            (w.line, w.user_id, w.texts.get("manager"), w.texts.get("coach"), w.settles, w.changed, w.created)
            for w in waiting
        ]
        await self._db.executemany("INSERT INTO waiting_links VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    async def waiting(self, after: int) -> list[Waiting]:
        rows = await self._db.execute_fetchall(
            "SELECT * FROM waiting_links WHERE line > ? ORDER BY line LIMIT ?", (after, BATCH)
        )
        return [_waiting(*row) for row in rows]

    async def link_new(self, links: Sequence[tuple[int | None, int | None, int]]) -> None:
        await self._db.executemany(
            "UPDATE users SET manager_id = coalesce(?, manager_id), coach_id = coalesce(?, coach_id) WHERE id = ?",
            links,
        )

    async def holders(self, email_keys: Sequence[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            "SELECT email_key, id FROM users WHERE known = 1 AND email_key IN (SELECT value FROM json_each(?))",
            (json.dumps(email_keys),),
        )
        return {row[0]: row[1] for row in rows}

    async def to_deactivated(self, field: str, first_new_id: int) -> AsyncIterator[list[ToDeactivated]]:
        async with self._db.execute(
            f"""
            SELECT u.id, coalesce(u.email, u.external_id) AS user, coalesce(m.email, m.external_id) AS target
            FROM users AS m INDEXED BY users_deactivated
            CROSS JOIN users AS u ON u.{field}_id = m.id
            WHERE m.state = 'deactivated' AND u.state = 'active' AND (
                u.id >= :first_new OR EXISTS (SELECT 1 FROM changes AS c
                    WHERE c.user_id = u.id AND c.import_id = :import_id AND c.field IN (:field, 'created'))
                OR EXISTS (SELECT 1 FROM changes AS c
                    WHERE c.user_id = m.id AND c.import_id = :import_id AND c.field = 'state')
            )""",  # noqa: S608 - one of two columns
            {"import_id": self._import_id, "field": f"{field}_id", "first_new": first_new_id},
        ) as cursor:
            while rows := list(await cursor.fetchmany(BATCH)):
                yield [ToDeactivated(*row) for row in rows]

    async def managers(self) -> Iterable[tuple[int, int]]:
        rows = await self._db.execute_fetchall(
            "SELECT id, manager_id FROM users WHERE manager_id IS NOT NULL AND id IN"
            " (SELECT DISTINCT manager_id FROM users WHERE manager_id IS NOT NULL)"
        )
        return ((row[0], row[1]) for row in rows)

    async def with_changed_manager(self, first_new_id: int) -> set[int]:
        rows = await self._db.execute_fetchall(
            "SELECT user_id FROM changes WHERE import_id = ?"
            " AND (field = 'manager_id' OR (field = 'created' AND user_id < ?))",
            (self._import_id, first_new_id),
        )
        changed = {row[0] for row in rows}
        new = await self._db.execute_fetchall(
            "SELECT id FROM users WHERE id >= ? AND +manager_id IS NOT NULL LIMIT 1", (first_new_id,)
        )
        return changed | {row[0] for row in new}


def _waiting(
    line: int, user_id: int, manager: str | None, coach: str | None, settles: int, changed: int, created: int
) -> Waiting:
    texts = {name: text for name, text in (("manager", manager), ("coach", coach)) if text is not None}
    return Waiting(user_id, line, texts, bool(settles), bool(changed), bool(created))
