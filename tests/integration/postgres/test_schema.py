"""The tables on PostgreSQL: those of headcount.db, with the rules that its triggers and indexes hold."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing

from engine.postgres.database import Database, pooled
from engine.sqlite.database import migrations
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

OWN = {"imports": {"messages"}, "tenants": {"id"}, "schema_versions": {"kind", "version"}}
"""The columns that only PostgreSQL needs."""
OF_SQLITE = {"sqlite_sequence"}

IMPORT = """INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at)
    VALUES (1, 7, 'arriving', false, 1, 'x', 1, 'now')"""
RUN = """INSERT INTO runs (tenant_id, id, hook, state, sequence, path, size, uploaded_at)
    VALUES (1, 8, 'invoices', 'arriving', 1, 'x', 1, 'now')"""
TENANT = "INSERT INTO tenants (id, name, created_at) VALUES (1, 'acme', 'now')"
MOVES = "SELECT tenant_id, import_id, run_id FROM moves ORDER BY id"


def of_headcount_db() -> dict[str, set[str]]:
    with closing(sqlite3.connect(":memory:")) as db:
        for script in migrations("server"):
            db.executescript(script)
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}


async def test_every_column_of_headcount_db_exists(url: str) -> None:
    async with pooled(url, most=1) as database:
        rows = await database.read(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    found = defaultdict[str, set[str]](set)
    for table, column in rows:
        if column not in OWN.get(table, set()):
            found[table].add("tenant" if column == "tenant_id" else column)
    embedded = {table: columns for table, columns in of_headcount_db().items() if table not in OF_SQLITE}
    assert found == embedded


async def test_removed_rows_find_those_that_refer_to_them_by_an_index(url: str) -> None:
    async with pooled(url, most=1) as database:
        missing = await database.read(
            "SELECT conrelid::regclass, conname FROM pg_constraint WHERE contype = 'f' AND NOT EXISTS ("
            " SELECT 1 FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL)"
        )
    assert [[*row] for row in missing] == []


async def test_a_change_of_a_state_leaves_a_move(database: Database) -> None:
    for statement in (TENANT, IMPORT, RUN, "UPDATE imports SET state = state, size = 2", "UPDATE runs SET size = 2"):
        await database.change(statement)
    assert await database.read(MOVES) == []
    await database.change("UPDATE imports SET state = 'queued'")
    await database.change("UPDATE runs SET state = 'queued'")
    assert [[*row] for row in await database.read(MOVES)] == [[1, 7, None], [1, None, 8]]


async def test_old_moves_are_deleted(database: Database) -> None:
    await database.change("INSERT INTO moves (tenant_id, import_id) SELECT 1, 1 FROM generate_series(1, 10250)")
    (row,) = await database.read("SELECT min(id), max(id) FROM moves")
    assert [*row] == [201, 10250]
