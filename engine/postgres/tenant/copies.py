"""Copies of the users to test settings on: temporary tables of one transaction.

Their names hide those of the tables. So an import on them has the same statements, waits for no other writer, and no
other writer waits for it. They are not in PostgreSQL's log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.postgres.database import Steps
from engine.postgres.rows import Row
from importer.errors import TryAgain

WHOLE = (
    "meta", "settings", "teams", "locations", "users", "applied", "invitations", "before", "before_lines", "touched",
)  # fmt: skip
"""The tables that are copied with the rows of the tenant."""
EMPTY = ("changes",)
"""A test reads only its own changes."""
COUNTED = ("teams", "locations")
"""The tables that give their rows ids."""

FIND = """
    SELECT 1 FROM meta JOIN tenants ON id = tenant_id WHERE tenant_id = %s AND name = %s AND written::text = %s"""
TABLES = """
    SELECT t.relname AS name, (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped) AS columns,
        ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = t.oid) AS indexes,
        quote_ident(n.nspname) AS schema
    FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace
    WHERE t.relname = ANY (%s) AND t.relkind IN ('r', 'p') AND n.nspname = current_schema()"""


async def copy_users(steps: Steps, tenant: str, number: int, mark: str) -> None:
    """Copy the users of the tenant with this name and id, for the rest of the transaction.

    Raises TryAgain if a transaction other than `mark` was the last that wrote them.
    """
    if not await steps.rows(FIND, number, tenant, mark):
        raise TryAgain("database_busy", "the users have changed since they were copied")
    tables = {row["name"]: row for row in await steps.rows(TABLES, [*WHOLE, *EMPTY])}
    await steps.change("; ".join(_statements(tables, number)))


def _statements(tables: Mapping[str, Row], number: int) -> Iterator[str]:
    for name in (*WHOLE, *EMPTY):
        row = tables[name]
        real, columns = f"{row['schema']}.{name}", row["columns"]
        # A generated column would be made again for each user; no test searches.
        like = f"LIKE {real} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING IDENTITY"
        yield f"CREATE TEMP TABLE {name} ({like}) ON COMMIT DROP"
        if name in WHOLE:
            yield f"INSERT INTO {name} ({columns}) SELECT {columns} FROM {real} WHERE tenant_id = {number}"  # noqa: S608
        if name in COUNTED:
            sequence = f"pg_get_serial_sequence('pg_temp.{name}', 'id')"
            yield f"SELECT setval({sequence}, coalesce(max(id), 0) + 1, false) FROM {name}"  # noqa: S608 - constants
        yield from (index.replace(f" ON {real} ", f" ON pg_temp.{name} ") for index in row["indexes"])
