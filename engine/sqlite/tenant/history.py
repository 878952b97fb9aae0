"""The statements that read the history in users.db."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiosqlite

from engine.history import Statements, StoredHistory
from engine.sqlite.faults import fetch, translating
from importer.rules.identity import Identity
from importer.users.runs import LONGEST

RECORDS = """
    SELECT c.id, c.import_id, c.user_id, c.more, c.undo, c.field, c.old, c.new,
        iif(c.undo, a.undone_at, a.applied_at) AS at
    FROM changes AS c LEFT JOIN applied AS a ON a.import_id = c.import_id WHERE c.field <> 'email_key'
"""
STATEMENTS = Statements(
    of_import=f"{RECORDS} AND c.import_id = :import_id AND c.id > :after ORDER BY c.id LIMIT :limit",
    of_user=f"{RECORDS} AND c.user_id = :user_id AND c.more = 0 AND c.id > :after ORDER BY c.id LIMIT :limit",
    of_user_newest=f"{RECORDS} AND c.user_id = :user_id AND c.more = 0 AND c.id < :before"
    " ORDER BY c.id DESC LIMIT :limit",
    shared=f"{RECORDS} AND c.more > 0 AND c.user_id BETWEEN :user_id AND :user_id + {LONGEST - 1}"
    " AND c.user_id - c.more <= :user_id",
    following=f"{RECORDS} AND c.id > :after ORDER BY c.id LIMIT :limit",
    # See schema/tenant-006.sql.
    numbers="SELECT began, base, gone, max(gone, base + (SELECT coalesce(max(id), 0) FROM changes)) AS newest"
    " FROM meta WHERE one = 1",
    user="SELECT id FROM users WHERE {column} = :key",
    people="SELECT id, {identifier}, first_name || ' ' || last_name FROM users"
    " WHERE id IN (SELECT value FROM json_each(:ids))",
    names="SELECT id, {column} FROM {table} WHERE id IN (SELECT value FROM json_each(:ids))",
)


class SqliteHistory(StoredHistory):
    """Reads the history over an open connection to users.db."""

    def __init__(self, db: aiosqlite.Connection, identity: Identity) -> None:
        self._db = db
        super().__init__(STATEMENTS, self._rows, identity)

    async def _rows(self, query: str, values: Mapping[str, object]) -> list[aiosqlite.Row]:
        return await fetch(
            self._db, query, {name: json.dumps(each) if name == "ids" else each for name, each in values.items()}
        )

    @asynccontextmanager
    async def _one_moment(self) -> AsyncIterator[StoredHistory]:
        with translating():
            await self._db.execute("BEGIN")
        try:
            yield self
        finally:
            await self._db.rollback()
