"""`headcount reseal` changes the secret of a database: completely or not at all, also if it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from engine.postgres.server.node import LOCK
from tests.support import ROOT
from tests.support.cli import run_cli
from tests.support.clients import POSTGRES, needs
from tests.support.postgres import url_of_new
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES)

SecretFile = Callable[[str], str]


@pytest.fixture
def secret(tmp_path: Path) -> SecretFile:
    """Return a function that makes a secret file with this name."""

    def make(name: str) -> str:
        file = tmp_path / name
        file.write_bytes(name.encode() * 32)
        file.chmod(0o600)
        return str(file)

    return make


@pytest.fixture
def place(tmp_path: Path, secret: SecretFile, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let commands use a database that is sealed with the secret file `old`; return its URL."""
    url = url_of_new(tmp_path)
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", url)
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", secret("old"))
    monkeypatch.delenv("HEADCOUNT_DATA_DIR", raising=False)
    run_cli("tenant", "add", "acme")
    run_cli("notify", "secret", "acme")
    return url


def webhook_secret(monkeypatch: pytest.MonkeyPatch, file: str) -> str:
    """Return the secret of acme as it is opened with this secret file; "" if that is a wrong one."""
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", file)
    ran = run_cli("notify", "secret", "acme")
    assert ran.code == 0 or "is not the secret file" in ran.err
    return ran.text


def test_the_new_secret_opens_everything_and_the_old_one_nothing(
    place: str, secret: SecretFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = webhook_secret(monkeypatch, secret("old"))
    ran = run_cli("reseal", secret("new"))
    assert (ran.code, ran.text.splitlines()[0]) == (0, "Sealed the keys with the new secret")
    assert f"HEADCOUNT_SECRET_KEY_FILE={secret('new')}" in ran.text
    assert webhook_secret(monkeypatch, secret("old")) == ""
    again = run_cli("reseal", secret("new"))  # a command that was interrupted is run again
    assert (again.code, again.text.splitlines()[0]) == (0, "The keys were already sealed with this secret")
    assert webhook_secret(monkeypatch, secret("new")) == before


def test_a_wrong_old_secret_changes_nothing(place: str, secret: SecretFile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = webhook_secret(monkeypatch, secret("old"))
    monkeypatch.setenv("HEADCOUNT_SECRET_KEY_FILE", secret("wrong"))
    ran = run_cli("reseal", secret("new"))
    assert (ran.code, "is not the secret file" in ran.err) == (1, True)
    assert webhook_secret(monkeypatch, secret("old")) == before


def test_a_kill_in_the_middle_leaves_the_old_secret(
    place: str, secret: SecretFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = webhook_secret(monkeypatch, secret("old"))
    with psycopg.connect(place, autocommit=True) as database:
        database.execute(
            "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'"
        )
        database.execute("CREATE TRIGGER halts AFTER UPDATE ON secrets FOR EACH ROW EXECUTE FUNCTION halt()")
        command = [sys.executable, "-m", "server", "reseal", secret("new")]
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ))
        asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        (pid,) = wait_until(lambda: database.execute(asleep).fetchone())
        process.kill()
        process.wait()
        database.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        database.execute("DROP TRIGGER halts ON secrets")
    assert webhook_secret(monkeypatch, secret("new")) == ""
    assert webhook_secret(monkeypatch, secret("old")) == before
    assert run_cli("reseal", secret("new")).code == 0
    assert webhook_secret(monkeypatch, secret("new")) == before


def test_the_secret_does_not_change_while_a_server_runs(place: str, secret: SecretFile) -> None:
    with psycopg.connect(place) as database:
        database.execute("SELECT pg_advisory_xact_lock(%s, 1)", (LOCK,))
        ran = run_cli("reseal", secret("new"))
    assert (ran.code, "a server runs on the database" in ran.err) == (1, True)


def test_a_data_folder_has_nothing_to_seal(
    tmp_path: Path, secret: SecretFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADCOUNT_DATABASE_URL", raising=False)
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path))
    ran = run_cli("reseal", secret("new"))
    assert (ran.code, "no secret seals them" in ran.err) == (1, True)
