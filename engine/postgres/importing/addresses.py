"""The temporary table of rows that change an address, and how the rows that cannot be applied are found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from engine.postgres.importing.work import KEYS, Work, texts
from importer.users.importing.addresses import Losing, SetAside

BATCH = 2000
KINDS = {
    "user_id": "bigint PRIMARY KEY",
    "line": "bigint NOT NULL",
    "raw": "text NOT NULL",
    "columns": "text NOT NULL",
    "state": "text NOT NULL",
    "settles": "boolean NOT NULL",
    "waiting": "text NOT NULL",
    "old_email": "text",
    "old_key": "text",
    "created": "boolean NOT NULL",
    "clash": "bigint",
    "new_key": 'text COLLATE "C"',
}
*COLUMNS, _ = KINDS
AMONG_ROWS = """
    UPDATE aside SET clash = later.first FROM (
        SELECT user_id, first FROM (SELECT user_id, first_value(user_id) OVER wanted AS first
            FROM aside WHERE new_key IS NOT NULL
            WINDOW wanted AS (PARTITION BY new_key ORDER BY state <> 'active', line)) AS each
        WHERE user_id <> first OFFSET 0) AS later
    WHERE aside.user_id = later.user_id"""
WITH_HOLDERS = """
    WITH RECURSIVE refused (user_id, holder) AS (
        SELECT a.user_id, h.id FROM aside AS a CROSS JOIN LATERAL (SELECT id FROM users
            WHERE tenant_id + 0 = %(tenant)s AND email_key = a.new_key AND state = 'active' OFFSET 0) AS h
        WHERE a.clash IS NULL AND h.id <> a.user_id
            AND NOT EXISTS (SELECT 1 FROM aside AS own WHERE own.user_id = h.id
                AND (own.clash IS NULL OR own.state <> 'active') OFFSET 0)
        UNION
        SELECT a.user_id, h.id FROM refused CROSS JOIN LATERAL (SELECT id, email_key FROM users
            WHERE tenant_id = %(tenant)s AND id = refused.user_id AND state = 'active' OFFSET 0) AS h
        CROSS JOIN LATERAL (SELECT FROM aside WHERE user_id = h.id AND state = 'active' OFFSET 0) AS own
        CROSS JOIN LATERAL (SELECT user_id, clash FROM aside WHERE new_key = h.email_key OFFSET 0) AS a
        WHERE a.clash IS NULL AND a.user_id <> h.id
    )
    UPDATE aside SET clash = later.holder FROM (SELECT * FROM refused OFFSET 0) AS later
    WHERE aside.user_id = later.user_id"""
FREE = """
    UPDATE users SET email = NULL, email_key = NULL WHERE ctid = ANY (ARRAY(
        SELECT place FROM aside AS a CROSS JOIN LATERAL (SELECT ctid AS place, email_key FROM users
            WHERE tenant_id = %(tenant)s AND id = a.user_id OFFSET 0) AS u
        WHERE a.clash IS NULL AND u.email_key IS NOT NULL))"""
LOSING = """
    SELECT u.id, a.line, a.created FROM aside AS a CROSS JOIN LATERAL (
        SELECT id FROM users WHERE tenant_id + 0 = %(tenant)s AND email_key = a.new_key OFFSET 0) AS u
    WHERE a.clash IS NULL"""
TAKEN = f"""
    SELECT wanted.key FROM {KEYS} WHERE EXISTS (
        SELECT 1 FROM users WHERE tenant_id + 0 = %(tenant)s AND email_key = wanted.key OFFSET 0)"""  # noqa: S608
WANTED = f"SELECT wanted.key FROM {KEYS} WHERE EXISTS (SELECT 1 FROM aside WHERE new_key = wanted.key OFFSET 0)"  # noqa: S608


class PostgresRowsAside:
    """The rows of one import that change an address, inside its transaction."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def add(self, rows: Sequence[SetAside]) -> None:
        await self._work.make(
            "aside",
            ", ".join(f"{name} {kind}" for name, kind in KINDS.items()),
            "(new_key)",
            "(line) WHERE clash IS NULL",
            "(line) WHERE clash IS NOT NULL",
        )
        found = (
            (
                row.user_id,
                row.line,
                row.raw,
                json.dumps(row.columns),
                row.state,
                row.settles,
                json.dumps(dict(row.waiting)),
                row.old_email,
                row.old_key,
                row.created,
                row.columns["email_key"],
            )
            for row in rows
        )
        await self._work.copy("aside", (*COLUMNS[:-1], "new_key"), found, ("raw",))

    async def settle(self) -> list[Losing]:
        if not self._work.has("aside"):
            return []
        await self._work.change("ANALYZE aside")
        await self._work.change(AMONG_ROWS)
        await self._work.change(WITH_HOLDERS)
        await self._work.change(FREE)
        return [Losing(*row) for row in await self._work.rows(LOSING)]

    def rejected(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NOT NULL AND state = 'active'")

    def leavers(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NOT NULL AND state <> 'active'")

    def applicable(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NULL")

    async def taken(self, email_keys: Iterable[str]) -> set[str]:
        keys = texts(email_keys)
        rows = await self._work.rows(TAKEN, keys=keys)
        if self._work.has("aside"):
            rows += await self._work.rows(WANTED, keys=keys)
        return {row[0] for row in rows}

    async def _pages(self, condition: str) -> AsyncIterator[list[SetAside]]:
        after = 0
        while self._work.has("aside"):
            rows = await self._work.rows(
                f"SELECT {', '.join(COLUMNS)} FROM aside WHERE {condition} AND line > %(after)s"  # noqa: S608
                f" ORDER BY line LIMIT {BATCH}",
                after=after,
            )
            page = [_restored(*row) for row in rows]
            if not page:
                return
            after = page[-1].line
            yield page


def _restored(
    user_id: int, line: int, raw: str, columns: str, state: str, settles: bool, waiting: str, *rest: Any
) -> SetAside:
    return SetAside(user_id, line, raw, json.loads(columns), state, settles, json.loads(waiting), *rest)
