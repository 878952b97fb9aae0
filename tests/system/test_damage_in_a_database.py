"""The real server on a PostgreSQL whose files are damaged: an import waits for the repair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.importing import people
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until
from tests.system.test_serving_from_a_database import server_on

pytestmark = needs(POSTGRES, "sftp")

OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"""
WAITS = "SELECT message FROM imports WHERE state = 'queued' AND message IS NOT NULL"
BROKEN = "tenant_broken"
STATES = {"XX001": "damage", "XX000": "internal error", "58P01": "lost file"}
"""SQLSTATEs by which PostgreSQL may report damage."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with server_on(url_of_new(tmp_path), tmp_path) as started:
        started.add_tenant("acme")
        yield started


def lose(postgres: OwnPostgres, admin: psycopg.Connection[Any], table: str) -> Path:
    """Take the file of a table away; return its path. `lost` beside it has its bytes."""
    path = admin.execute("SELECT pg_relation_filepath(%s)", (table,)).fetchone()
    assert path
    admin.execute("CHECKPOINT")
    file = postgres.data / path[0]
    file.rename(file.with_name("lost"))
    admin.execute(OTHERS)  # a new connection has to open it
    return file


def test_a_server_is_not_ready_while_the_table_of_keys_has_lost_its_file(tmp_path: Path) -> None:
    with own_postgres() as postgres, server_on(postgres.url, tmp_path) as server:
        server.add_tenant("acme")
        assert server.sftp("acme", "ls").returncode == 0
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            file = lose(postgres, admin, "keys")
            wait_until(lambda: server.sftp("acme", "ls", logins=1).returncode, DEADLINE_S, "no login to succeed")
            wait_until(lambda: server.get("/readyz").status_code == 503, DEADLINE_S, "the server to be not ready")
            assert server.get("/readyz").json()["database"] is False
            wait_until(lambda: "tenant_unreadable" in server.events(), DEADLINE_S, "the reason in the log")

            file.with_name("lost").rename(file)
            wait_until(lambda: server.get("/readyz").status_code == 200, DEADLINE_S, "the server to be ready")
            assert server.sftp("acme", "ls").returncode == 0


def test_an_import_waits_while_a_table_has_lost_its_file(tmp_path: Path) -> None:
    with own_postgres() as postgres, server_on(postgres.url, tmp_path) as server:
        server.add_tenant("acme")
        with psycopg.connect(postgres.url, autocommit=True) as admin:
            file = lose(postgres, admin, "users")
            server.put("acme", people("ann"))
            waits = wait_until(lambda: admin.execute(WAITS).fetchone(), DEADLINE_S, "the import to wait")
        assert "as soon as the operator has fixed it" in waits[0]
        assert "could not open file" in next(each["message"] for each in server.lines() if each["event"] == BROKEN)

        server.stop()
        file.with_name("lost").rename(file)
        server.start()
        assert server.wait("acme")["counts"]["created"] == 1
        assert "import_unsound" not in server.events()


@pytest.mark.parametrize("state", STATES, ids=STATES.get)
def test_an_import_that_damage_ended_waits_and_is_logged_though_all_rows_are_sound(
    server: ServerProcess, tmp_path: Path, state: str
) -> None:
    """An index may be damaged, or the cause may be over."""
    with psycopg.connect(url_of_new(tmp_path), autocommit=True) as db:
        db.execute(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE 'could not find a block' USING ERRCODE = '{state}'; END $$"
        )
        db.execute("CREATE TRIGGER fails BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fails()")
        server.put("acme", people("ann"))
        wait_until(lambda: db.execute(f"{WAITS} AND not_before > 0").fetchone(), DEADLINE_S, "the import to wait")
        assert "import_unsound" in server.events()
        assert not {"import_fault", BROKEN} & {*server.events()}
        db.execute("DROP TRIGGER fails ON users")
    assert server.wait("acme")["counts"]["created"] == 1
