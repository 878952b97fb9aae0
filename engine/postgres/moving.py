"""The tables of the database, to be read and filled as a whole. No server runs meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from psycopg.rows import tuple_row

from engine.moving.stored import AT_ONCE, Batches, RowsOf
from engine.moving.tables import (
    LINKS,
    OF_ALL,
    OF_TENANT,
    SESSIONS,
    TOKENS,
    Counters,
    Kind,
    Numbering,
    Owner,
    Table,
    canonical,
    check_row,
    converting,
    stored,
)
from engine.postgres.database import Database, Steps
from engine.tenants import Tenant
from importer.errors import DatabaseUnusable

TENANTS = "SELECT name, created_at, last_import_id, last_run_id FROM tenants WHERE name IS NOT NULL ORDER BY name"
ADDED = (
    "INSERT INTO tenants (name, created_at, last_import_id, last_run_id) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (name) DO NOTHING"
)
ID = "SELECT id FROM tenants WHERE name = %s"
NUMBERING = f"SELECT revision, began, gone, last_change FROM meta WHERE tenant_id = ({ID})"  # noqa: S608
NUMBERED = "INSERT INTO meta (tenant_id, revision, began, gone, last_change) VALUES (%s, %s, %s, %s, %s)"
UNFINISHED = (
    "SELECT (SELECT count(*) FROM imports WHERE state IN ('arriving', 'running'))"
    " + (SELECT count(*) FROM runs WHERE state IN ('arriving', 'running')) + (SELECT count(*) FROM drafts)"
    " + (SELECT count(*) FROM nodes)"  # a server that stops removes its row
)
EMPTY = (
    "SELECT NOT EXISTS (SELECT 1 FROM tenants) AND NOT EXISTS (SELECT 1 FROM tokens)"
    " AND NOT EXISTS (SELECT 1 FROM host_keys)"
)
FILLING = {"headcount.import": "adds", "idle_in_transaction_session_timeout": "10min"}
"""Settings of a transaction that fills tables: triggers do not look for what an import does itself."""
READING = {"idle_in_transaction_session_timeout": "10min"}
GIVEN = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(%s, 'id')), 0)"
IDENTITIES = (
    ("tokens", "id"),
    ("checksums", "id"),
    ("outbox", "id"),
    ("moves", "id"),
    ("settings_changes", "id"),
    ("teams", "id"),
    ("locations", "id"),
)
"""The tables whose rows keep the numbers that another engine gave."""
ORDERS = (("import_order", "imports"), ("run_order", "runs"))


class PostgresTables:
    """An `engine.moving.stored.StoredTables`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, table: Table, tenant: str | None) -> Batches:
        convert, select = converting(table, _OUT.get), _select(table)
        # Most tables of most tenants are short, and a cursor takes five round trips.
        first = await self._database.read(f"{select} LIMIT {AT_ONCE}", tenant=tenant)
        if len(first) < AT_ONCE:
            if first:
                yield [convert(row) for row in first]
            return
        async with (
            self._database.transaction(READING) as steps,
            steps.connection.cursor("rows_to_move", row_factory=tuple_row) as cursor,
        ):
            await cursor.execute(select, {"tenant": tenant})
            while batch := await cursor.fetchmany(AT_ONCE):
                yield [convert(row) for row in batch]

    async def tenants(self) -> list[Tenant]:
        return [Tenant(*row) for row in await self._database.read(TENANTS)]

    async def numbering(self, tenant: str) -> Numbering:
        found = await self._database.read(NUMBERING, tenant)
        if not found:
            raise DatabaseUnusable(f"the tenant {tenant} has no row in the table meta")
        return Numbering(*found[0])

    async def counters(self) -> Counters:
        given = [(await self._database.read(GIVEN, name))[0][0] for name in ("tokens", "moves")]
        return Counters(*given)

    async def unfinished(self) -> int:
        return int((await self._database.read(UNFINISHED))[0][0])

    async def is_empty(self) -> bool:
        return bool((await self._database.read(EMPTY))[0][0])

    async def end_sign_ins(self) -> None:
        async with self._database.transaction() as steps:
            for table in (LINKS, SESSIONS):
                await steps.change(f"DELETE FROM {table.name}")  # noqa: S608 - constants

    async def fill(self, rows: RowsOf, counters: Counters) -> None:
        async with self._database.transaction(FILLING) as steps:
            for table in reversed(OF_ALL):
                which = " WHERE tenant_id IS NULL" if table is TOKENS else ""
                if table.owner is not Owner.SIGN_IN:  # these go with their tokens
                    await steps.change(f"DELETE FROM {table.name}{which}")  # noqa: S608 - constants
            for table in OF_ALL:
                await _copy_in(steps, table, None, rows(table))
            newest = {"tokens": counters.token, "moves": counters.move}
            for name, column in IDENTITIES:
                await _count_from(
                    steps, f"pg_get_serial_sequence('{name}', '{column}')", name, column, newest.get(name, 0)
                )
            for sequence, name in ORDERS:
                await _count_from(steps, f"'{sequence}'", name, "sequence", 0)

    async def is_whole(self, tenant: str) -> bool:
        """Return whether all rows of a tenant are here."""
        return bool(await self._database.read(NUMBERING, tenant))

    async def add_tenant(self, tenant: Tenant) -> int:
        """Store the row of a tenant, if there is none; return its id."""
        await self._database.change(ADDED, tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id)
        return await self.id_of(tenant.name)

    async def id_of(self, tenant: str) -> int:
        return int((await self._database.read(ID, tenant))[0][0])

    async def fill_tenant(self, tenant: int, rows: RowsOf, numbering: Numbering) -> None:
        """Add the rows of a tenant: all of them or none."""
        async with self._database.transaction(FILLING) as steps:
            await steps.change(
                *(NUMBERED, tenant, numbering.revision, numbering.began, numbering.gone, numbering.newest)
            )
            for table in OF_TENANT:
                await _copy_in(steps, table, tenant, rows(table))
            await steps.change("UPDATE meta SET revision = %s WHERE tenant_id = %s", numbering.revision, tenant)


def _select(table: Table) -> str:
    mine = "(SELECT id FROM tenants WHERE name = %(tenant)s)"
    of = {
        Owner.TENANT: f"tenant_id = {mine}",
        Owner.USERS: f"tenant_id = {mine}",
        Owner.SIGN_IN: f"token_id IN (SELECT id FROM tokens WHERE tenant_id = {mine})",  # noqa: S608 - constants
        Owner.ALL: "%(tenant)s::text IS NULL",
    }[table.owner]
    if table is TOKENS:
        of += " OR (%(tenant)s::text IS NULL AND tenant_id IS NULL)"
    elif table.owner is Owner.SIGN_IN:
        of += " OR (%(tenant)s::text IS NULL AND token_id IN (SELECT id FROM tokens WHERE tenant_id IS NULL))"
    columns = ", ".join(f"{each.name}::text" if each.kind in _AS_TEXT else each.name for each in table.columns)
    return f"SELECT {columns} FROM {table.name} WHERE {of} ORDER BY {', '.join(table.key)}"  # noqa: S608


async def _copy_in(steps: Steps, table: Table, tenant: int | None, batches: Batches) -> None:
    owned = table.owner in (Owner.TENANT, Owner.USERS)
    columns, convert = ", ".join((*(["tenant_id"] if owned else []), *table.names)), stored(table)
    async with _copying(steps, f"COPY {table.name} ({columns}) FROM STDIN") as write:
        async for batch in batches:
            for row in batch:
                check_row(table, row)
                await write((tenant, *convert(row)) if owned else convert(row))


@asynccontextmanager
async def _copying(steps: Steps, statement: str) -> AsyncIterator[Callable[[Any], Any]]:
    async with steps.connection.cursor() as cursor, cursor.copy(statement) as copy:
        yield copy.write_row


async def _count_from(steps: Steps, sequence: str, table: str, column: str, newest: int) -> None:
    """Let the next number of a sequence follow all that the table has, and those up to `newest`."""
    await steps.rows(
        f"SELECT setval({sequence}, highest) FROM (SELECT greatest(%s, max({column}),"  # noqa: S608 - constants
        f" pg_sequence_last_value({sequence})) AS highest FROM {table}) AS given WHERE highest > 0",
        newest,
    )


_AS_TEXT = {Kind.JSON, Kind.FREE_JSON, Kind.VALUE, Kind.OUTCOME, Kind.MESSAGES}


def _canonical(text: str | None) -> str | None:
    return None if text is None else canonical(text)


_OUT: dict[Kind, Callable[[Any], Any]] = {
    Kind.FREE_JSON: _canonical,
    Kind.VALUE: _canonical,
    Kind.OUTCOME: _canonical,
    Kind.MESSAGES: _canonical,
}
