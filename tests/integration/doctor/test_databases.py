"""The doctor finds each database that cannot be used; after what it says is done, all is well."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.test_versions import DUMPS, FIXTURES
from tests.support.backups import saved
from tests.support.doctoring import diagnosed, is_well, obey, places, restore_part
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")


def _users(server: ServerProcess) -> Path:
    return server.files("acme").users_db


def _without(database: Path) -> Path:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink(missing_ok=True)
    return database


def missing(database: Path) -> None:
    _without(database)


def empty(database: Path) -> None:
    _without(database).touch()


def garbage(database: Path) -> None:
    _without(database).write_bytes(b"not a database" * 1000)


def a_folder(database: Path) -> None:
    _without(database).mkdir()


def a_wrong_index(database: Path) -> None:
    """Let an index miss a row: only a complete check finds it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        table = "users" if database.name == "users.db" else "imports"
        page = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? LIMIT 1", (table,)
        ).fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.seek((page - 1) * size + 3)
        file.write(b"\0\0")  # the number of entries in this page


def a_dangling_row(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        if database.name == "users.db":
            db.execute("UPDATE users SET primary_team_id = 4711")
        else:
            db.execute("UPDATE imports SET tenant = 'gone' WHERE id = 2")


@pytest.mark.parametrize("hurt", [missing, empty, garbage, a_folder, a_wrong_index, a_dangling_row])
def test_an_unusable_users_db_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, hurt: Callable[[Path], None]
) -> None:
    hurt(_users(server))
    assert places(server) == [("acme", "tenants/acme/users.db", "error")]
    (finding,) = diagnosed(server)
    assert "from a backup" in finding["do"]
    restore_part(server, backup, "tenants/acme/users.db")
    assert is_well(server)


@pytest.mark.parametrize("hurt", [missing, empty, garbage, a_wrong_index, a_dangling_row])
def test_an_unusable_headcount_db_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, hurt: Callable[[Path], None]
) -> None:
    hurt(server.data / "headcount.db")
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["severity"]) == (None, "error")
    assert "headcount.db" in finding["what"]
    assert "headcount.db" in finding["do"] or "Stop the server" in finding["do"]
    restore_part(server, backup, "headcount.db")
    assert is_well(server)


@pytest.mark.parametrize("emptied", [False, True])
@pytest.mark.parametrize("name", ["headcount.db", "tenants/acme/users.db"])
def test_the_log_of_a_lost_database_is_moved_away_first(server: ServerProcess, name: str, emptied: bool) -> None:
    database = server.data / name
    log = database.with_name(f"{database.name}-wal")
    database.unlink()
    log.write_bytes(b"log of the lost one")
    if emptied:
        database.touch()
    (finding,) = diagnosed(server)
    assert f"ove {log.name} away" in finding["do"]
    log.unlink()
    (finding,) = diagnosed(server)
    assert "away" not in finding["do"]


@pytest.mark.parametrize("name", ["headcount.db", "tenants/acme/users.db"])
def test_a_database_of_a_newer_headcount_is_found_and_well_after_the_upgrade(
    server: ServerProcess, name: str
) -> None:
    database = server.data / name
    with closing(sqlite3.connect(database)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    by_hand(database, "PRAGMA user_version = 99")
    (finding,) = diagnosed(server)
    assert finding["file"] == str(database)
    assert finding["do"].endswith("pgrade Headcount")
    by_hand(database, f"PRAGMA user_version = {version}")
    assert is_well(server)


def test_a_database_of_an_older_headcount_is_a_notice_until_the_server_was_started(server: ServerProcess) -> None:
    with closing(sqlite3.connect(_without(server.files("bolt").users_db))) as db:
        db.executescript((FIXTURES / "tenant-003.sql").read_text(encoding="utf-8"))
    by_hand(server.files("bolt").users_db, "PRAGMA journal_mode=WAL")
    by_hand(server.data / "headcount.db", "UPDATE tenants SET last_import_id = 100 WHERE name = 'bolt'")
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["severity"]) == ("bolt", "notice")
    assert finding["do"].endswith(f": headcount --data-dir {server.data} serve")
    server.start()
    wait_until(lambda: is_well(server), what="the work of the start")


@pytest.mark.parametrize(("kind", "schema"), DUMPS)
def test_a_database_of_any_older_headcount_is_at_most_a_notice(server: ServerProcess, kind: str, schema: int) -> None:
    name = "headcount.db" if kind == "server" else "tenants/acme/users.db"
    database = _without(server.data / name)
    with closing(sqlite3.connect(database)) as db:
        db.executescript((FIXTURES / f"{kind}-{schema:03}.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA journal_mode=WAL")
    if kind == "tenant":
        by_hand(server.data / "headcount.db", "UPDATE tenants SET last_import_id = 100 WHERE name = 'acme'")
    whats = [each["what"] for each in diagnosed(server) if each["file"] == str(database)]
    newest = schema == max(each for of, each in DUMPS if of == kind)
    assert whats == [] if newest else f"(schema {schema})" in whats[0]


def test_a_damaged_search_index_is_removed_beside_a_running_server(server: ServerProcess) -> None:
    with server:
        server.files("acme").search_db.write_bytes(b"not a database" * 1000)
        for each in diagnosed(server):
            obey(server, each["do"])
        wait_until(lambda: is_well(server), what="the end of the work on the index")


def test_a_damaged_search_index_is_found_and_well_when_removed(server: ServerProcess) -> None:
    server.files("acme").search_db.write_bytes(b"not a database" * 1000)
    assert places(server) == [("acme", "tenants/acme/search.db", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


def test_a_damaged_database_of_a_removed_tenant_is_found_and_well_at_the_end(
    server: ServerProcess, tmp_path: Path
) -> None:
    server.cli("tenant", "remove", "bolt", "--yes")
    (folder,) = (server.data / "removed").iterdir()
    saved(server.data, tmp_path / "backup")
    for mended in (False, True):
        garbage(folder / "users.db")
        (finding,) = diagnosed(server)
        assert (finding["tenant"], finding["file"], finding["severity"]) == (
            *(None, str(folder / "users.db")),
            "warning",
        )
        if mended:
            obey(server, finding["do"])
            assert not folder.exists()
        else:
            restore_part(server, tmp_path / "backup", f"removed/{folder.name}/users.db")
        assert is_well(server)
