"""`headcount doctor` on PostgreSQL finds what endangers the data, and what is damaged, and says what to do."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from engine.postgres.server.node import NAME
from engine.postgres.tenant.stock import OTHER_TABLES, TABLES
from tests.support.cli import Ran, run_cli
from tests.support.clients import POSTGRES, needs
from tests.support.own_postgres import own_postgres
from tests.support.postgres import url_of_new

pytestmark = needs(POSTGRES)

OF_TESTS = ("the setting fsync ", "the setting full_page_writes ")
"""Findings about the server of the tests itself."""


@pytest.fixture
def place(place: str) -> str:
    """The database of `conftest`, with the tenant `acme`."""
    run_cli("tenant", "add", "acme")
    return place


@pytest.fixture
def change(place: str) -> Callable[..., None]:
    """Return a function that runs statements; `{t}` in them is the id of acme."""

    def act(*statements: str) -> None:
        with psycopg.connect(place, autocommit=True) as database:
            for statement in statements:
                database.execute(statement.replace("{t}", "(SELECT id FROM tenants WHERE name = 'acme')"))  # type: ignore[call-overload]

    return act


Change = Callable[..., None]


def found() -> list[dict[str, Any]]:
    """Return the findings, without those about the server of the tests."""
    return [each for each in run_cli("doctor", "--json").json if not each["what"].startswith(OF_TESTS)]


def the_only() -> dict[str, Any]:
    (finding,) = found()
    return finding


def test_a_database_without_faults_is_found_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_postgres() as postgres:
        monkeypatch.setenv("HEADCOUNT_DATABASE_URL", postgres.url)
        run_cli("tenant", "add", "acme")
        ran = run_cli("doctor")
        assert (ran.code, ran.text[:29]) == (0, "Found well: the database post")


def test_settings_that_endanger_stored_files_are_errors(place: str, change: Change) -> None:
    change(f"ALTER DATABASE {urlsplit(place).path[1:]} SET synchronous_commit = off")
    ran = run_cli("doctor")
    assert ran.code == 1
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert f"Error: The setting {name} of PostgreSQL is off: " in ran.text
        assert f"ALTER SYSTEM SET {name} = on" in ran.text


def test_a_tenant_with_an_invalid_setting_is_an_error(place: str, change: Change) -> None:
    assert found() == []
    change("INSERT INTO settings SELECT id, 'max_sessions', '\"lots\"' FROM tenants")
    assert (the_only()["tenant"], the_only()["severity"], run_cli("doctor").code) == ("acme", "error", 1)
    assert "max_sessions" in the_only()["what"]
    assert "a setting in the database is not valid" in run_cli("tenant", "list", "--json").json[0]["broken"]


@pytest.mark.parametrize("state", ["XX001", "XX000", "58P01"])
def test_rows_that_cannot_be_read_are_an_error_of_their_tenant(place: str, change: Change, state: str) -> None:
    """PostgreSQL reports some damage as its own internal error, or as a missing file."""
    change(
        "INSERT INTO settings SELECT id, 'max_sessions', '5' FROM tenants",
        "CREATE FUNCTION sound() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE 'missing chunk number 0' USING ERRCODE = '{state}'; END $$",
        "ALTER TABLE settings RENAME TO stored_settings",
        "CREATE VIEW settings AS SELECT * FROM stored_settings WHERE sound()",
    )
    assert (the_only()["tenant"], the_only()["severity"]) == ("acme", "error")
    assert "missing chunk number 0" in the_only()["what"]


def break_rows(change: Change, table: str, state: str) -> None:
    """Let PostgreSQL report this state for a row of acme in the table. Give another tenant an invalid setting."""
    run_cli("tenant", "add", "bolt")
    change(
        "INSERT INTO settings SELECT id, 'max_sessions', '5' FROM tenants",
        "INSERT INTO settings SELECT id, 'quota_files', '\"lots\"' FROM tenants WHERE name = 'bolt'",
        "INSERT INTO keys (tenant_id, kind, blob, comment, added_at) VALUES ({t}, 'ssh-rsa', '', '', 'now')",
        "INSERT INTO names (tenant_id, folder_id, name, accessed, modified) VALUES ({t}, 0, 'a', 0, 0)",
        "INSERT INTO secrets VALUES ({t}, 'a', '')",
        "CREATE FUNCTION sound(tenant bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        f" IF tenant = {{t}} THEN RAISE 'no chunk' USING ERRCODE = '{state}'; END IF; RETURN true; END $$",
        f"ALTER TABLE {table} RENAME TO stored_rows",
        f"CREATE VIEW {table} AS SELECT * FROM stored_rows WHERE sound(tenant_id)",
    )


@pytest.mark.parametrize("table", ["keys", "names", "secrets"])
def test_damage_beside_the_users_is_an_error_of_the_tenant(place: str, change: Change, table: str) -> None:
    """Without its keys, say, no login of the tenant succeeds. The parts of all tenants that lack a row follow."""
    break_rows(change, table, "XX001")
    findings = found()
    assert [each["what"] for each in findings if each["tenant"] == "acme"] == ["the database is damaged: no chunk"]
    assert "bolt" in {each["tenant"] for each in findings}
    parts = [each["what"] for each in findings if each["tenant"] is None]
    assert len(parts) == (table != "keys")
    assert all("cannot be read: the database is damaged: no chunk" in each for each in parts)


@pytest.mark.parametrize(
    ("table", "state"), [("settings", "58030"), ("names", "53200"), ("settings", "57014"), ("names", "22021")]
)
def test_rows_that_fail_in_another_way_end_no_examination(place: str, change: Change, table: str, state: str) -> None:
    """An error of the disk, a lack of memory, a statement that took too long, and bytes that do not mean text."""
    break_rows(change, table, state)
    findings = found()
    (of_acme,) = [each for each in findings if each["tenant"] == "acme"]
    assert "bolt" in {each["tenant"] for each in findings}
    assert ("cannot be read now" in of_acme["what"]) == (state != "22021")
    assert (of_acme["do"] == "Run this again: headcount doctor") == (state != "22021")


def test_a_look_at_a_tenant_reads_all_tables_that_it_needs(place: str) -> None:
    needless = {
        "chunks",  # the bytes of all files: to read them may take hours
        "meta",  # read with each of the others
        *("figures", "key_uses", "moves", "open_sessions"),  # made again, or of a moment only
        "outbox",  # messages that wait: the tenant works without them
    }
    with psycopg.connect(place) as database:
        found = database.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id'"
        ).fetchall()
    assert {*TABLES, *OTHER_TABLES} == {name for (name,) in found} - needless


def test_a_database_of_another_version_is_told_and_nothing_else_is_read(place: str, change: Change) -> None:
    change("UPDATE schema_versions SET version = 0 WHERE kind = 'files'", "DROP TABLE kept_files")
    assert (the_only()["severity"], "older Headcount (schema files 0)" in the_only()["what"]) == ("notice", True)
    change("UPDATE schema_versions SET version = 99 WHERE kind = 'files'")
    assert (the_only()["severity"], "newer Headcount" in the_only()["what"]) == ("error", True)
    assert "Upgrade Headcount" in the_only()["do"]


def test_a_database_without_tables_is_refused_and_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", url_of_new(tmp_path))
    for _ in range(2):
        ran = run_cli("doctor")
        assert (ran.code, "has no tables of Headcount" in ran.err) == (1, True)


def test_a_wrong_encoding_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", url_of_new(tmp_path, how))
    assert the_only()["what"] == "the encoding of the database is LATIN1, not UTF8"


def secret(folder: Path, name: str) -> str:
    file = folder / name
    file.write_bytes(name.encode() * 32)
    file.chmod(0o600)
    return str(file)


def test_a_wrong_secret_and_a_value_that_cannot_be_opened_are_errors(
    place: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", secret(tmp_path, "right"))
    assert found() == [], "no server has used it"
    run_cli("notify", "secret", "acme")
    assert found() == []
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", secret(tmp_path, "wrong"))
    assert "is not the secret file" in the_only()["what"]
    monkeypatch.delenv("HEADCOUNT_SECRET_KEY_FILE")
    assert the_only()["do"] == "Name it in HEADCOUNT_SECRET_KEY_FILE"
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", secret(tmp_path, "right"))
    change("UPDATE secrets SET sealed = sealed || '\\x00'")
    assert "the secret of the webhooks of acme cannot be opened" in the_only()["what"]
    follow(the_only()["do"])
    assert found() == []


def follow(do: str) -> Ran:
    """Run the command of Headcount at the end of what to do."""
    return run_cli(*shlex.split(do.partition("headcount ")[2]))


def test_a_transaction_that_stays_open_is_a_warning(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.examining.LONG_S", 0)
    with psycopg.connect(f"{place}&application_name=reports") as other:
        other.execute("SELECT 1")
        assert "a transaction of headcount (“reports”) has been open" in the_only()["what"]
        assert f"pg_terminate_backend({other.info.backend_pid})" in the_only()["do"]


def test_the_lock_of_a_running_server_is_not_a_warning(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.examining.LONG_S", 0)
    with psycopg.connect(place, application_name=NAME) as server:
        server.execute("SELECT 1")
        assert found() == []


def test_few_free_connections_are_a_warning(place: str, change: Change) -> None:
    change(f"ALTER DATABASE {urlsplit(place).path[1:]} CONNECTION LIMIT 5")
    assert "of at most 5 connections are open" in the_only()["what"]


SHA256 = hashlib.sha256(b"x" * 262144 + b"abc").hexdigest()
CONTENT = f"""
    INSERT INTO contents (tenant_id, id, size, sealed) VALUES ({{t}}, 1, 262147, true);
    INSERT INTO chunks VALUES ({{t}}, 1, 0, convert_to(repeat('x', 262144), 'UTF8')), ({{t}}, 1, 1, 'abc');
    INSERT INTO kept_files (tenant_id, name, content_id, size) VALUES ({{t}}, 'uploads/1.csv', 1, 262147);
    INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified)
        VALUES ({{t}}, 0, 'b.csv', 1, 262147, 0, 0);
    INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at, sha256)
        VALUES ({{t}}, 1, 'queued', false, 1, '/sync_users.csv', 262147, '', '{SHA256}')"""
"""A file of two chunks, which is visible, and which an import waits to read."""


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM chunks WHERE number = 0",
        "DELETE FROM chunks WHERE number = 1",
        "UPDATE chunks SET bytes = 'ab' WHERE number = 1",
        "UPDATE chunks SET number = 7 WHERE number = 1",
    ],
)
def test_a_file_without_some_of_its_bytes_is_an_error(place: str, change: Change, damage: str) -> None:
    change(CONTENT)
    assert found() == []
    change(damage)
    assert {each["file"]: each["what"] for each in found()} == {
        "uploads/1.csv": "the kept file “uploads/1.csv” lacks some of its bytes (content 1)",
        "b.csv": "the visible file “b.csv” lacks some of its bytes (content 1)",
    }


def test_a_file_that_is_not_the_uploaded_one_is_an_error(place: str, change: Change) -> None:
    change(CONTENT, "UPDATE chunks SET bytes = 'abd' WHERE number = 1")
    assert "its SHA-256 differs" in the_only()["what"]
    change("UPDATE chunks SET bytes = 'abc' WHERE number = 1", "UPDATE imports SET size = 5")
    assert the_only()["what"] == ("the kept file “uploads/1.csv”, which import 1 needs, has 262,147 bytes, not 5")
    change("DELETE FROM kept_files")
    assert the_only()["what"] == "the kept file “uploads/1.csv”, which import 1 needs, is missing"


def test_a_wrong_quota_is_a_warning_until_it_is_counted_as_told(place: str, change: Change) -> None:
    change(CONTENT, "UPDATE usage SET bytes = 7, files = 3")
    finding = the_only()
    assert finding["what"] == "the quota counts 7 bytes and 3 files, but the tenant has 262,147 bytes and 1"
    psql, url, option, statement = shlex.split(finding["do"].partition("Count again: ")[2])
    assert (psql, url, option) == ("psql", "$HEADCOUNT_DATABASE_URL", "-c")
    change(*statement.split(";"))
    assert found() == []
