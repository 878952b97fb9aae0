"""Databases of every version are upgraded, and a database of a newer version is not touched."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.sqlite.copies import copy_before
from engine.sqlite.database import Threaded, migrations, open_database
from engine.sqlite.store import open_store
from engine.sqlite.tenant.users import SqliteUsers
from importer.errors import SchemaTooNew
from importer.folder import TenantFolder
from importer.rules.identity import Identity
from importer.undo.undo import UndoJob, undo_import
from tests.support import ROOT
from tests.support.runs import put_in_line, start

pytestmark = pytest.mark.only_on("sqlite", "it is about files of older schemas")

FIXTURES = ROOT / "tests" / "fixtures" / "databases"
"""A data folder of one company after eight files, as each version wrote it: see tests/support/fill_databases.py."""

DUMPS = [(file.stem.split("-")[0], int(file.stem.split("-")[1])) for file in sorted(FIXTURES.glob("*.sql"))]


def restored(folder: Path, kind: str, version: int) -> Path:
    path = folder / ("headcount.db" if kind == "server" else "users.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript((FIXTURES / f"{kind}-{version:03}.sql").read_text(encoding="utf-8"))
    return path


def tables_of(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        names = [name for (name,) in db.execute(query)]
        return {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}


def test_every_version_of_every_database_is_kept() -> None:
    assert {*DUMPS} == {(kind, each) for kind in ("server", "tenant") for each in range(1, len(migrations(kind)) + 1)}


def schema_of(path: Path) -> dict[str, str]:
    """Return the statement that makes each table, index and trigger, by name, in one line."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(statement.split()) for name, statement in rows}


@pytest.mark.parametrize("kind", ["server", "tenant"])
async def test_the_newest_kept_database_has_the_schema_of_an_upgraded_one(tmp_path: Path, kind: str) -> None:
    schemas = []
    for version in (1, len(migrations(kind))):
        folder = tmp_path / str(version)
        folder.mkdir()
        path = restored(folder, kind, version)
        await (await open_database(path, kind)).close()
        schemas.append(schema_of(path))
    assert len(schemas[0]) > 20
    assert schemas[0] == schemas[1]


GONE = {("users", "digest")}
"""Columns that a later version replaced by something else."""


@pytest.mark.parametrize(("kind", "version"), DUMPS)
async def test_a_database_of_any_version_is_upgraded_with_all_its_data(
    tmp_path: Path, kind: str, version: int
) -> None:
    path = restored(tmp_path, kind, version)
    before = tables_of(path)
    kept = {name: [each for each in columns if (name, each) not in GONE] for name, columns in before.items()}
    rows = {name: _rows(path, name, columns) for name, columns in kept.items()}
    await (await open_database(path, kind)).close()
    assert {name: _rows(path, name, columns) for name, columns in kept.items()} == rows
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(migrations(kind)),)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(("kind", "version"), DUMPS)
async def test_an_older_database_is_copied_before_it_is_changed(tmp_path: Path, kind: str, version: int) -> None:
    path = restored(tmp_path, kind, version)
    rows = {name: _rows(path, name, columns) for name, columns in tables_of(path).items()}
    await (await open_database(path, kind)).close()
    copy = copy_before(path, version)
    if version == len(migrations(kind)):
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        return
    assert {name: _rows(copy, name, columns) for name, columns in tables_of(copy).items()} == rows
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, copy.name}


@pytest.mark.parametrize("kind", ["server", "tenant"])
async def test_an_upgrade_that_is_killed_at_any_statement_is_completed_by_the_next(tmp_path: Path, kind: str) -> None:
    for name in ("before", "killed"):
        (tmp_path / name).mkdir()
    path = restored(tmp_path / "before", kind, 1)
    tables = {
        name: [each for each in columns if (name, each) not in GONE] for name, columns in tables_of(path).items()
    }
    rows = {name: _rows(path, name, columns) for name, columns in tables.items()}
    command = (sys.executable, "-m", "tests.support.crashed_upgrades", kind, path.parent, tmp_path / "killed")
    crashing = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await crashing.wait() == 0
    upgraded = schema_of(tmp_path / "killed" / "whole" / path.name)
    folders = sorted((tmp_path / "killed").glob("[0-9]*"))
    assert len(folders) > 12
    for folder in folders:
        database = folder / path.name
        await (await open_database(database, kind)).close()
        assert schema_of(database) == upgraded
        assert {file.name for file in folder.iterdir()} == {database.name, copy_before(database, 1).name}
        for file in (database, copy_before(database, 1)):
            assert {name: _rows(file, name, columns) for name, columns in tables.items()} == rows


@pytest.mark.parametrize("kind", ["server", "tenant"])
async def test_a_copy_is_not_replaced_by_one_that_another_process_has_upgraded(tmp_path: Path, kind: str) -> None:
    path = restored(tmp_path, kind, 1)

    def late(connect: Callable[[], sqlite3.Connection], rows_at_once: int) -> Threaded:
        def connect_and_wait() -> sqlite3.Connection:
            db = connect()
            asyncio.run(upgrade())
            return db

        return Threaded(connect_and_wait, rows_at_once)

    async def upgrade() -> None:
        await (await open_database(path, kind)).close()

    await (await open_database(path, kind, through=late)).close()
    assert [file.name for file in tmp_path.glob("*.schema-*")] == [copy_before(path, 1).name]
    with closing(sqlite3.connect(copy_before(path, 1))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


WAS_APPLIED = "dry_run = 0 AND state IN ('completed', 'completed_with_errors', 'unchanged', 'undone')"
ORDERS = {
    "server": (
        "SELECT id FROM imports WHERE applied_number > 0 ORDER BY applied_number",
        f"SELECT id FROM imports WHERE {WAS_APPLIED} ORDER BY finished_at, id",
    ),
    "tenant": (
        "SELECT import_id FROM applied WHERE number > 0 ORDER BY number",
        "SELECT import_id FROM applied ORDER BY applied_at, import_id",
    ),
}
"""The order in which imports were applied: by their numbers, and by the clock as it was when they had none."""


@pytest.mark.parametrize(("kind", "version"), DUMPS)
async def test_imports_of_older_versions_are_numbered_in_the_order_of_application(
    tmp_path: Path, kind: str, version: int
) -> None:
    path = restored(tmp_path, kind, version)
    await (await open_database(path, kind)).close()
    with closing(sqlite3.connect(path)) as db:
        numbered, in_time = [db.execute(query).fetchall() for query in ORDERS[kind]]
    assert numbered == in_time
    assert len(numbered) == 4


async def test_sessions_and_ids_of_tokens_go_on_after_an_upgrade(tmp_path: Path) -> None:
    path = restored(tmp_path, "server", 5)
    with closing(sqlite3.connect(path)) as db:
        ((newest,),) = db.execute("SELECT max(id) FROM tokens").fetchall()
        db.execute("INSERT INTO sessions VALUES (x'01', ?, '2026-01-01', '2026-01-02')", (newest,))
        db.commit()
    await (await open_database(path, "server")).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys=ON")
        assert db.execute("SELECT token_id FROM sessions").fetchall() == [(newest,)]
        db.execute("DELETE FROM tokens WHERE id = ?", (newest,))
        assert db.execute("SELECT token_id FROM sessions").fetchall() == []
        made = db.execute("INSERT INTO tokens (hash, role, created_at) VALUES (x'02', 'operator', '') RETURNING id")
        assert made.fetchall() == [(newest + 1,)]


async def test_an_import_whose_undo_was_queued_at_the_upgrade_has_its_number(tmp_path: Path) -> None:
    path = restored(tmp_path, "server", 2)
    with closing(sqlite3.connect(path)) as db:
        (newest,) = db.execute(
            "UPDATE imports SET state = 'queued', undo = '{}' WHERE id ="
            " (SELECT max(id) FROM imports WHERE state = 'completed') RETURNING id"
        ).fetchone()
        db.commit()
    await (await open_database(path, "server")).close()
    with closing(sqlite3.connect(path)) as db:
        highest = db.execute("SELECT id FROM imports ORDER BY applied_number DESC LIMIT 1").fetchone()
    assert highest == (newest,)


@pytest.mark.parametrize("version", [1, 7])
async def test_runs_of_hooks_begin_at_one_in_an_upgraded_database_beside_its_imports(
    tmp_path: Path, version: int
) -> None:
    async with open_store(restored(tmp_path, "server", version)) as store:
        before = await store.imports().page("acme")
        assert await put_in_line(store.runs()) == 1
        await start(store.runs(), 1)
        async with store.hints().watch() as watch:
            assert [each.run_id for each in await watch.run_moves(0)] == [1]
            assert {each.import_id for each in await watch.moves(0)} <= {each.id for each in before}
        assert await store.imports().page("acme") == before


async def test_a_start_goes_on_with_the_runs_of_a_kept_database(tmp_path: Path) -> None:
    async with open_store(restored(tmp_path, "server", 8)) as store:
        states = [(each.id, each.state.value) for each in await store.runs().page("acme")]
        cut_off = [each.id for each in await store.runs().cut_off()]
        assert await store.runs().remembered("bills") == [("invoices", "/invoices/*.csv")]
        assert await put_in_line(store.runs()) == 9
    assert cut_off == [6, 8]
    assert states == [
        *((7, "queued"), (6, "running"), (5, "ignored"), (4, "aborted")),
        *((3, "failed"), (2, "completed_with_errors"), (1, "completed")),
    ]


@pytest.mark.parametrize("kind", ["server", "tenant"])
async def test_a_database_that_cannot_be_copied_is_not_changed(tmp_path: Path, kind: str) -> None:
    path = restored(tmp_path, kind, 1)
    copy_before(path, 1).mkdir()  # blocks the path of the copy
    before = path.read_bytes()
    with pytest.raises(OSError, match="directory"):
        await open_database(path, kind)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert len(path.read_bytes()) == len(before)


@pytest.mark.parametrize("kind", ["server", "tenant"])
async def test_a_database_of_a_newer_version_is_refused_and_not_changed(tmp_path: Path, kind: str) -> None:
    path = restored(tmp_path, kind, len(migrations(kind)))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version={len(migrations(kind)) + 1}")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match="newer Headcount"):
        await open_database(path, kind)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", sorted(version for kind, version in DUMPS if kind == "tenant"))
async def test_users_and_history_of_a_database_of_any_version_are_shown(tmp_path: Path, version: int) -> None:
    restored(tmp_path, "tenant", version)
    kept, identity = SqliteUsers(TenantFolder(tmp_path)), Identity("employee_id")
    async with kept.snapshot(identity) as directory:
        users = {user["email"]: user async for page in directory.all_users() for user in page}
    assert users["ann@acme.example"]["secondary_team"] == ["Tech, London", "On-call"]
    assert users["cy@acme.example"]["manager"] == "2"
    async with kept.history(identity) as history:
        assert (await history.page_of_user("1"))[0]


@pytest.mark.parametrize("version", sorted(version for kind, version in DUMPS if kind == "tenant"))
async def test_imports_of_any_version_are_undone_and_stay_in_the_history(tmp_path: Path, version: int) -> None:
    path = restored(tmp_path, "tenant", version)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE users SET protected = 0")
    kept, identity = SqliteUsers(TenantFolder(tmp_path)), Identity("employee_id")
    now = datetime(2027, 1, 1, tzinfo=UTC)
    for import_id in (7, 2, 1):
        await undo_import(UndoJob("acme", import_id, "operator", identity, now), kept, tmp_path / "messages")
    async with kept.history(identity) as history:
        changes = [change async for page in history.of_import(1) for change in page]
        of_cy, _ = await history.page_of_user("3")
        newest, _ = await history.newest_of_user("3", limit=1)
    four = [str(number) for number in range(1, 5)]
    assert [(change["identifier"], change["field"], change["undo"]) for change in changes] == [
        *((number, "created", False) for number in four),
        *((number, "created", True) for number in four),
    ]
    assert [(change["field"], change["undo"]) for change in of_cy] == [
        ("created", False),
        *(("state", undo) for undo in (False, False, True, False, True, True)),
        ("created", True),
    ]
    assert newest == of_cy[-1:]
    with closing(sqlite3.connect(path)) as db:
        states = db.execute("SELECT external_id, state, known FROM users ORDER BY id").fetchall()
    assert states == [(number, "deactivated", 0) for number in (*four, "5")]


def _rows(path: Path, table: str, columns: list[str]) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(map(repr, db.execute(f"SELECT {', '.join(columns)} FROM {table}")))
