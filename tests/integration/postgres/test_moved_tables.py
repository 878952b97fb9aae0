"""Every table and column of both engines is moved, or left out for a reason."""

from __future__ import annotations

from pathlib import Path

import aiosqlite

from engine.moving.tables import LEFT_OUT, OF_ALL, OF_TENANT, Kind
from engine.postgres.database import Database
from engine.sqlite.database import open_database
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

MOVED = {table.name: set(table.names) for table in (*OF_TENANT, *OF_ALL)}
ONLY_POSTGRES = {
    (table.name, each.name) for table in OF_TENANT for each in table.columns if each.kind is Kind.MESSAGES
}


def unknown(columns: set[tuple[str, str]], engine: str, owners: set[str]) -> set[str]:
    """Return the columns that are neither moved nor left out, and what is named and not there."""
    left = LEFT_OUT[engine]
    tables = {table for table, _ in columns}
    found = {
        f"{table}.{column}"
        for table, column in columns
        if column not in owners | MOVED.get(table, set()) and table not in left and f"{table}.{column}" not in left
    }
    found |= {
        f"{table}.{name} is missing" for table in MOVED for name in MOVED[table] if (table, name) not in columns
    }
    return found | {f"{name} is no more" for name in left if name not in tables | {f"{t}.{c}" for t, c in columns}}


async def test_each_table_of_postgresql_is_moved_or_left_out_for_a_reason(database: Database) -> None:
    await database.change("DROP TABLE notes")  # of the fixture
    rows = await database.read(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    assert unknown({(row[0], row[1]) for row in rows}, "postgres", {"tenant_id"}) == set()


async def test_each_table_of_sqlite_is_moved_or_left_out_for_a_reason(tmp_path: Path) -> None:
    columns = set(ONLY_POSTGRES)
    for kind in ("server", "tenant"):
        db = await open_database(tmp_path / kind, kind, make=True)
        try:
            columns |= await _columns(db)
        finally:
            await db.close()
    assert unknown(columns, "sqlite", {"tenant"}) == set()


async def _columns(db: aiosqlite.Connection) -> set[tuple[str, str]]:
    found = set()
    for row in await db.execute_fetchall(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ):
        columns = await db.execute_fetchall(f"PRAGMA table_info({row[0]})")
        found |= {(row[0], column[1]) for column in columns}
    return found
