"""A database as the place of an installation: commands without a data folder, and their errors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from engine.postgres.urls import FREE, what_to_do
from tests.support import ROOT
from tests.support.cli import Ran, run_cli
from tests.support.clients import POSTGRES, needs
from tests.support.keypairs import public_line
from tests.support.postgres_server import server

pytestmark = needs(POSTGRES)

Run = Callable[..., Ran]


@pytest.fixture
def key(tmp_path: Path) -> str:
    file = tmp_path / "key.pub"
    file.write_text(public_line())
    return str(file)


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as database:
        return database.execute(statement).fetchall()


def test_a_command_makes_the_tables_and_no_folder(place: str, tmp_path: Path, key: str) -> None:
    before = set(os.listdir(tmp_path))
    added = run_cli("tenant", "add", "acme", "--key", key, "--json").json
    assert (added["folder"], added["broken"], len(added["keys"])) == (None, None, 1)
    assert [each["name"] for each in run_cli("tenant", "list", "--json").json] == ["acme"]
    assert set(os.listdir(tmp_path)) == before


def test_a_command_warns_that_no_server_runs_on_the_database(place: str) -> None:
    warned = run_cli("tenant", "list").warned
    assert "no server runs on the database" in warned
    assert "headcount@" not in warned


def test_a_tenant_without_its_last_key_is_not_added_at_all(place: str, tmp_path: Path, key: str) -> None:
    wrong = tmp_path / "wrong.pub"
    wrong.write_text("ssh-ed25519 nonsense\n")
    assert run_cli("tenant", "add", "acme", "--key", key, "--key", str(wrong)).code == 1
    assert run_cli("tenant", "list", "--json").json == []
    assert rows(place, "SELECT count(*) FROM keys") == [(0,)]


def test_the_name_of_a_tenant_can_be_used_once(place: str) -> None:
    run_cli("tenant", "add", "acme")
    again = run_cli("tenant", "add", "acme")
    assert (again.code, again.err) == (1, "Error: the tenant acme exists already\n")


def test_settings_users_and_lists_are_read_and_changed_without_a_folder(place: str, tmp_path: Path) -> None:
    run_cli("tenant", "add", "acme")
    assert run_cli("tenant", "set", "acme", "max_sessions=3").text == "  max_sessions = 3\n"
    assert run_cli("tenant", "history", "acme", "--json").json[0]["new"] == 3
    file = tmp_path / "file.csv"
    file.write_text("first_name,last_name,email\nAnn,Lee,ann@acme.example\n")
    assert run_cli("check", "acme", str(file), "--json").json["counts"]["created"] == 1
    for command in ("users list", "import list", "hook runs", "notify list", "key list"):
        assert run_cli(*command.split(), "acme", "--json").json == [], command
    assert run_cli("token", "create", "acme", "--role", "owner").code == 0
    assert [each["tenant"] for each in run_cli("token", "list", "--json").json] == ["acme"]
    assert run_cli("ban", "list", "--json").json == []
    assert [each["name"] for each in run_cli("hook", "list", "--json").json] == ["sync_users"]


def test_the_name_of_a_removed_tenant_is_free_and_its_users_are_kept(place: str, key: str) -> None:
    run_cli("tenant", "add", "acme", "--key", key)
    run_cli("token", "create", "acme", "--role", "owner")
    assert run_cli("tenant", "remove", "acme", "--yes").text == (
        "Removed tenant acme; its users and files are deleted after 30 days\n"
    )
    assert run_cli("tenant", "list", "--json").json == []
    assert run_cli("token", "list", "--json").json == []
    assert run_cli("tenant", "remove", "acme", "--yes").code == 1
    assert run_cli("tenant", "add", "acme", "--json").json["keys"] == []
    found = rows(
        place, "SELECT removed_name, (SELECT count(*) FROM keys WHERE tenant_id = id) FROM tenants ORDER BY id"
    )
    assert found == [("acme", 1), (None, 0)]


@pytest.mark.parametrize(
    ("change", "reason", "do"),
    [
        (lambda url: "postgresql://u:secret@127.0.0.1:1/x", "Connection refused", "Check that PostgreSQL runs"),
        (lambda url: "postgresql://u:secret@host.invalid/x", "resolve host", "Check the host in the URL"),
        (lambda url: url.replace("headcount@", "u:secret@"), "does not exist", "Check the user in the URL"),
        (lambda url: url.replace("/t", "/u", 1), "does not exist", "create it: CREATE DATABASE"),
        (lambda url: "postgresql://u:secret with spaces@[/x", "not valid", "it has the form"),
        (lambda url: "mysql://u:secret@127.0.0.1/x", "HEADCOUNT_DATABASE_URL", "must look like postgresql://"),
        (lambda url: "postgresql://u:p@secret@127.0.0.1:1/x", "HEADCOUNT_DATABASE_URL", "with %40 for an @"),
        (lambda url: "postgresql://u:1/secret@127.0.0.1:1/x", "HEADCOUNT_DATABASE_URL", "%2F for a /"),
    ],
    ids=["no server", "no host", "no user", "no database", "no url", "other system", "raw @", "raw /"],
)
@pytest.mark.parametrize("command", [("tenant", "list"), ("serve",)], ids=["command", "server"])
def test_a_wrong_url_is_one_sentence_without_the_password(
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    change: Callable[[str], str],
    reason: str,
    do: str,
) -> None:
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", change(place))
    ran = run_cli(*command)
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    assert reason in lines[0]
    assert do in lines[0]
    assert "secret" not in ran.err


def test_a_wrong_password_is_one_sentence_that_says_so(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = server()
    rows(place, "SELECT set_config('x.y', 'z', false)")
    rules = Path(folder) / "data" / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(place, autocommit=True) as database:
        database.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        try:
            rules.write_text(f"local all guarded scram-sha-256\n{before}")
            database.execute("SELECT pg_reload_conf()")
            monkeypatch.setenv("HEADCOUNT_DATABASE_URL", place.replace("headcount@", "guarded:wrong@"))
            ran = run_cli("tenant", "list")
        finally:
            rules.write_text(before)
            database.execute("SELECT pg_reload_conf()")
            database.execute("DROP ROLE guarded")
    assert ran.code == 1
    assert "password authentication failed" in ran.err
    assert "Check the user and the password in the URL" in ran.err
    assert "wrong@" not in ran.err


def test_a_command_without_a_free_connection_says_which_limit_to_raise(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(place, autocommit=True) as database:
        database.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
        try:
            monkeypatch.setenv("HEADCOUNT_DATABASE_URL", place.replace("headcount@", "crowded@"))
            ran = run_cli("tenant", "list")
        finally:
            database.execute("DROP ROLE crowded")
    assert ran.code == 1
    assert "too many connections for role" in ran.err
    assert "raise the limit: max_connections" in ran.err


@pytest.mark.parametrize(
    "said",
    [
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for non-replication superuser connections",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'FATAL:  too many connections for database "headcount"',
        "FATAL:  no more connections allowed (max_client_conn)",
    ],
)
def test_each_limit_of_connections_is_told_from_a_database_that_is_away(said: str) -> None:
    assert what_to_do(said) == FREE


def test_a_database_of_a_newer_headcount_is_refused_in_words(place: str) -> None:
    run_cli("tenant", "list")
    with psycopg.connect(place) as database:
        database.execute("UPDATE schema_versions SET version = 99 WHERE kind = 'server'")
    ran = run_cli("tenant", "list")
    assert ran.code == 1
    assert ran.err.endswith("was written by a newer Headcount (server schema 99); upgrade Headcount\n")


def test_without_the_driver_the_url_is_one_sentence(place: str) -> None:
    without = (
        "import sys; sys.modules['psycopg'] = None; from server.cli import main; sys.exit(main(['tenant', 'list']))"
    )
    ran = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert f"{sys.prefix}/bin/pip install --require-hashes -r requirements-postgres.lock" in ran.stderr


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_backup_and_restore_name_the_programs_of_postgresql(place: str, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    ran = run_cli(command, str(folder))
    assert ran.code == 1
    assert "the data is in the database" in ran.err
    assert "pg_dump" in ran.err


def test_a_named_data_folder_and_a_database_exclude_each_other(place: str, tmp_path: Path) -> None:
    ran = run_cli("--data-dir", str(tmp_path), "tenant", "list")
    assert (ran.code, ran.err) == (
        1,
        "Error: HEADCOUNT_DATABASE_URL names a database, so there is no data folder. Leave out --data-dir\n",
    )


@needs("pgbouncer")
def test_commands_work_through_pgbouncer(
    place: str, through: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str
) -> None:
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", through)
    assert run_cli("tenant", "add", "acme", "--key", key).code == 0
    assert run_cli("tenant", "set", "acme", "max_sessions=3").code == 0
    file = tmp_path / "file.csv"
    file.write_text("first_name,last_name,email\nAnn,Lee,ann@acme.example\n")
    assert run_cli("check", "acme", str(file), "--json").json["counts"]["created"] == 1
    assert all(" is off: " in each["what"] for each in run_cli("doctor", "--json").json)  # settings of the tests
    assert run_cli("tenant", "remove", "acme", "--yes").code == 0
