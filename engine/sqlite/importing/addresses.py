"""The temporary table of rows that change an address, and how the rows that cannot be applied are found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence

import aiosqlite

from importer.users.importing.addresses import Losing, SetAside

BATCH = 2000


class SqliteRowsAside:
    """The rows of one import that change an address, over a connection in its transaction."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE aside (user_id INTEGER PRIMARY KEY, line INTEGER NOT NULL, raw TEXT NOT NULL,"
            " columns TEXT NOT NULL, state TEXT NOT NULL, settles INTEGER NOT NULL, waiting TEXT NOT NULL,"
            " old_email TEXT, old_key TEXT, new_key TEXT, created INTEGER NOT NULL, clash INTEGER)"
        )
        await self._db.execute("CREATE INDEX temp.aside_new ON aside (new_key, line)")
        await self._db.execute("CREATE INDEX temp.aside_old ON aside (old_key)")

    async def add(self, rows: Sequence[SetAside]) -> None:
        found = [
            (
                row.user_id,
                row.line,
                row.raw,
                json.dumps(row.columns),
                row.state,
                row.settles,
                json.dumps(row.waiting),
                row.old_email,
                row.old_key,
                row.columns["email_key"],
                row.created,
            )
            for row in rows
        ]
        await self._db.executemany("INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", found)

    async def settle(self) -> list[Losing]:
        await self._clash_among_rows()
        await self._clash_with_holders()
        await self._db.execute(
            "UPDATE users SET email = NULL, email_key = NULL"
            " WHERE id IN (SELECT user_id FROM aside WHERE clash IS NULL)"
        )
        rows = await self._db.execute_fetchall(
            "SELECT u.id, a.line, a.created FROM aside AS a JOIN users AS u ON u.email_key = a.new_key"
            " WHERE a.clash IS NULL"
        )
        return [Losing(row[0], row[1], bool(row[2])) for row in rows]

    async def _clash_among_rows(self) -> None:
        """If several rows want one address, the first gets it; a leaver's row comes after those of users who stay."""
        await self._db.execute(
            "UPDATE aside SET clash = (SELECT first.user_id FROM aside AS first WHERE first.new_key = aside.new_key"
            " AND (first.state <> 'active', first.line) < (aside.state <> 'active', aside.line)"
            " ORDER BY first.state <> 'active', first.line LIMIT 1)"
        )

    async def _clash_with_holders(self) -> None:
        """Mark rows as clashing whose address an active user keeps: one whose row is not here, or clashes itself.

        A user who leaves by a row that is here keeps no address.
        """
        await self._db.execute(
            """
            WITH RECURSIVE refused (user_id, holder) AS (
                SELECT a.user_id, h.id FROM aside AS a JOIN users AS h ON h.email_key = a.new_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
                    AND NOT EXISTS (SELECT 1 FROM aside AS own WHERE own.user_id = h.id
                        AND (own.clash IS NULL OR own.state <> 'active'))
                UNION
                SELECT a.user_id, h.id FROM refused JOIN users AS h ON h.id = refused.user_id
                    JOIN aside AS own ON own.user_id = h.id AND own.state = 'active'
                    JOIN aside AS a ON a.new_key = h.email_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
            )
            UPDATE aside SET clash = refused.holder FROM refused WHERE refused.user_id = aside.user_id"""
        )

    def rejected(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NOT NULL AND state = 'active'")

    def leavers(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NOT NULL AND state <> 'active'")

    def applicable(self) -> AsyncIterator[list[SetAside]]:
        return self._pages("clash IS NULL")

    async def taken(self, email_keys: Iterable[str]) -> set[str]:
        rows = await self._db.execute_fetchall(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM users WHERE email_key = value)"
            " OR EXISTS (SELECT 1 FROM aside WHERE new_key = value)",
            (json.dumps(list(email_keys)),),
        )
        return {row[0] for row in rows}

    async def _pages(self, condition: str) -> AsyncIterator[list[SetAside]]:
        after = 0
        while True:
            rows = await self._db.execute_fetchall(
                f"SELECT * FROM aside WHERE {condition} AND line > ? ORDER BY line LIMIT {BATCH}",  # noqa: S608
                (after,),
            )
            page = [_restored(row) for row in rows]
            if not page:
                return
            after = page[-1].line
            yield page


def _restored(row: aiosqlite.Row) -> SetAside:
    return SetAside(
        row["user_id"],
        row["line"],
        row["raw"],
        json.loads(row["columns"]),
        row["state"],
        bool(row["settles"]),
        json.loads(row["waiting"]),
        row["old_email"],
        row["old_key"],
        bool(row["created"]),
        row["clash"],
    )
