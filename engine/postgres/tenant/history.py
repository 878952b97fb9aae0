"""The statements that read the history in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from engine.history import Statements, StoredHistory
from engine.postgres.rows import Row
from engine.postgres.tenant.reading import Reads
from importer.rules.identity import Identity
from importer.users.runs import LONGEST

RECORDS = """
    SELECT c.id, c.import_id, c.user_id, c.more, c.undo, c.field, c.old, c.new,
        CASE WHEN c.undo THEN a.undone_at ELSE a.applied_at END AS at
    FROM changes AS c LEFT JOIN applied AS a ON a.tenant_id = c.tenant_id AND a.import_id = c.import_id
    WHERE c.tenant_id {} = %(tenant)s AND c.field <> 'email_key'
"""
OF_IMPORT, OF_USER, ALL = RECORDS.format("+ 0"), RECORDS.format("- 0"), RECORDS.format("")
"""The same, so that an index of imports or users is used: see schema/tenant-001.sql."""
STATEMENTS = Statements(
    of_import=f"{OF_IMPORT} AND c.import_id = %(import_id)s AND c.id > %(after)s ORDER BY c.id LIMIT %(limit)s",
    of_user=f"{OF_USER} AND c.user_id = %(user_id)s AND c.more = 0 AND c.id > %(after)s"
    " ORDER BY c.id LIMIT %(limit)s",
    of_user_newest=f"{OF_USER} AND c.user_id = %(user_id)s AND c.more = 0 AND c.id < %(before)s"
    " ORDER BY c.id DESC LIMIT %(limit)s",
    shared=f"{OF_IMPORT} AND c.more > 0 AND c.user_id BETWEEN %(user_id)s AND %(user_id)s + {LONGEST - 1}"
    " AND c.user_id - c.more <= %(user_id)s",
    following=f"{ALL} AND c.id > %(after)s ORDER BY c.id LIMIT %(limit)s",
    numbers="SELECT began, 0 AS base, gone, last_change AS newest FROM meta WHERE tenant_id = %(tenant)s",
    user="SELECT id FROM users WHERE tenant_id + 0 = %(tenant)s AND {column} = %(key)s",
    people="SELECT id, {identifier}, first_name || ' ' || last_name FROM users"
    " WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
    names="SELECT id, {column} FROM {table} WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
)


class PostgresHistory(StoredHistory):
    """Reads the history of one tenant."""

    def __init__(self, reads: Reads, identity: Identity) -> None:
        self._reads = reads
        super().__init__(STATEMENTS, self._rows, identity)

    async def _rows(self, query: str, values: Mapping[str, object]) -> list[Row]:
        return await self._reads.rows(query, **values)

    @asynccontextmanager
    async def _one_moment(self) -> AsyncIterator[StoredHistory]:
        async with self._reads.one_moment() as reads:
            yield PostgresHistory(reads, self._identity)
