"""The tables on PostgreSQL: those of the embedded databases, with the rules of their triggers and indexes."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing

from engine.postgres.database import Database, pooled
from engine.sqlite.database import migrations
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

OWN = {
    "imports": {"claim", "messages", "node"},
    "meta": {"last_change", "written"},
    "runs": {"claim", "node"},
    "schema_versions": {"kind", "version"},
    "tenants": {"id", "removed_at", "removed_name"},
    "users": {"searched"},
}
"""The columns that only PostgreSQL needs."""
SERVERS = {"nodes", "open_sessions", "commits"}
"""The tables of several servers: only one runs with SQLite."""
KEYS = {"host_keys", "keys", "marks", "proof", "secrets"}
"""The tables of keys, secrets and marks, which are in files with SQLite."""
FILES = {"chunks", "contents", "drafts", "ended_objects", "kept_files", "names", "usage"}
"""The tables of what is in folders with SQLite."""
OF_SQLITE = {
    "sqlite_sequence": set(), "search_log": set(), "landed_files": set(), "meta": {"one", "base"}, "before": {"one"},
}  # fmt: skip
"""The columns that only SQLite needs; none: the whole table."""

IMPORT = """INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at)
    VALUES (1, 7, 'arriving', false, 1, 'x', 1, 'now')"""
RUN = """INSERT INTO runs (tenant_id, id, hook, state, sequence, path, size, uploaded_at)
    VALUES (1, 8, 'invoices', 'arriving', 1, 'x', 1, 'now')"""
TENANT = "INSERT INTO tenants (id, name, created_at) VALUES (1, 'acme', 'now')"
MOVES = "SELECT tenant_id, import_id, run_id FROM moves ORDER BY id"


def embedded(kind: str) -> dict[str, set[str]]:
    """Return the columns of each table of headcount.db (`server`) or users.db (`tenant`)."""
    with closing(sqlite3.connect(":memory:")) as db:
        for script in migrations(kind):
            db.executescript(script)
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}
    return {name: each - OF_SQLITE.get(name, set()) for name, each in columns.items() if OF_SQLITE.get(name, True)}


async def test_every_column_of_the_embedded_databases_exists(url: str) -> None:
    async with pooled(url, most=1) as database:
        rows = await database.read(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        )
    of_server, of_tenants = embedded("server"), embedded("tenant")
    found = defaultdict[str, set[str]](set)
    for table, column in rows:
        if table in SERVERS | KEYS | FILES or (column == "tenant_id" and table in of_tenants):
            continue
        if column not in OWN.get(table, set()):
            found[table].add("tenant" if column == "tenant_id" else column)
    assert found == of_server | of_tenants


async def test_each_table_of_users_has_the_tenant_first_in_its_keys(url: str) -> None:
    async with pooled(url, most=1) as database:
        rows = await database.read(
            "SELECT c.relname, a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid"
            " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indisprimary"
        )
    first = {table: column for table, column in rows if table in embedded("tenant")}
    assert first == dict.fromkeys(embedded("tenant"), "tenant_id")


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


PEOPLE = """INSERT INTO users (tenant_id, id, email_key, email, first_name, last_name, manager_id, primary_team_id,
    secondary_team_ids, state, known) VALUES
    (1, 1, 'a', 'a', 'A', 'B', NULL, 3, '', 'active', true),
    (1, 2, 'b', 'b', 'A', 'B', 1, NULL, '13,3,4', 'active', true),
    (1, 3, NULL, NULL, 'A', 'B', NULL, NULL, '', 'deactivated', false)"""


async def with_people(database: Database) -> None:
    await database.change(TENANT)
    await database.change("INSERT INTO meta SELECT id, 1, 5, 5, 5 FROM tenants")
    await database.change("INSERT INTO teams VALUES (1, 3, 'it', 'IT'), (1, 4, 'hr', 'HR')")
    await database.change(PEOPLE)


async def revision(database: Database) -> int:
    ((number,),) = await database.read("SELECT revision FROM meta")
    return int(number)


async def test_a_user_changed_by_hand_is_touched_and_one_of_an_import_is_not(database: Database) -> None:
    await with_people(database)
    async with database.transaction({"headcount.import": "settles"}) as steps:
        await steps.change("UPDATE users SET job_title = 'Boss' WHERE id = 2")
    assert await database.read("SELECT * FROM touched") == []
    await database.change("UPDATE users SET job_title = 'Chief' WHERE id = 1")
    assert [[*row] for row in await database.read("SELECT * FROM touched")] == [[1, 1]]


async def test_users_who_become_others_or_come_by_hand_raise_the_revision(database: Database) -> None:
    await with_people(database)
    before = await revision(database)
    await database.change("UPDATE users SET job_title = 'Boss'")
    assert await revision(database) == before
    await database.change("UPDATE users SET email_key = 'c', email = 'c' WHERE id = 2")
    assert await revision(database) == before + 1
    await database.change("INSERT INTO users (tenant_id, id, first_name, last_name) VALUES (1, 9, 'A', 'B')")
    assert await revision(database) == before + 2
    async with database.transaction({"headcount.import": "adds"}) as steps:
        await steps.change("INSERT INTO users (tenant_id, id, first_name, last_name) VALUES (1, 10, 'A', 'B')")
    assert await revision(database) == before + 2


async def test_links_to_a_removed_user_or_team_are_removed(database: Database) -> None:
    await with_people(database)
    await database.change("INSERT INTO invitations (tenant_id, user_id, import_id, message_id) VALUES (1, 1, 1, 'x')")
    before = await revision(database)
    await database.change("DELETE FROM teams WHERE id = 3")
    await database.change("DELETE FROM users WHERE id = 1")
    (row,) = await database.read("SELECT manager_id, secondary_team_ids FROM users WHERE id = 2")
    assert [*row] == [None, "13,4"]
    assert await database.read("SELECT 1 FROM invitations") == []
    assert await revision(database) == before + 2


async def test_an_unknown_user_who_is_activated_is_known(database: Database) -> None:
    await with_people(database)
    await database.change("UPDATE users SET state = 'active' WHERE id = 3")
    ((known,),) = await database.read("SELECT known FROM users WHERE id = 3")
    assert known


async def test_the_highest_deleted_number_of_a_change_stays(database: Database) -> None:
    await with_people(database)
    await database.change(
        "INSERT INTO changes (tenant_id, id, import_id, user_id, field) VALUES (1, 7, 1, 1, 'x'), (1, 8, 1, 1, 'y')"
    )
    await database.change("DELETE FROM changes")
    ((gone,),) = await database.read("SELECT gone FROM meta")
    assert gone == 8


async def test_a_removed_tenant_leaves_no_row(database: Database) -> None:
    await with_people(database)
    await database.change("UPDATE users SET job_title = 'Boss'")
    await database.change("INSERT INTO changes (tenant_id, id, import_id, user_id, field) VALUES (1, 7, 1, 1, 'x')")
    await database.change("DELETE FROM tenants")
    for table in embedded("tenant"):
        assert await database.read(f"SELECT * FROM {table}") == [], table
