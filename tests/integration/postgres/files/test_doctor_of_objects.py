"""`headcount doctor` and other commands with files in S3, and the settings that name it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.postgres.store import open_store
from tests.integration.postgres.test_doctor import found
from tests.support import ROOT
from tests.support.bucket import SECRET, bucket_of, key_file, objects_of, storage
from tests.support.cli import run_cli
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import Fault, FaultyStorage, faulty_storage
from tests.support.postgres import url_of_new

pytestmark = needs(POSTGRES)

Change = Callable[..., list[tuple[Any, ...]]]
DATA = b"first_name,last_name,email\n"


@pytest.fixture
def between() -> Iterator[FaultyStorage]:
    with faulty_storage(storage()) as proxy:
        yield proxy


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: FaultyStorage) -> str:
    """Let commands use a database with the tenant `acme` and files in S3; return its URL."""
    url = url_of_new(tmp_path)
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", url)
    monkeypatch.setenv("HEADCOUNT_FILES_URL", bucket_of(tmp_path, between.url))
    monkeypatch.setenv("HEADCOUNT_FILES_KEY_FILE", str(key_file(tmp_path)))
    monkeypatch.delenv("HEADCOUNT_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    run_cli("tenant", "add", "acme")
    return url


@pytest.fixture
def change(place: str) -> Change:
    def act(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(place) as database:
            done = database.execute(statement, values)
            return done.fetchall() if done.description else []

    return act


def keep(place: str, folder: Path, name: str) -> None:
    """Keep a file of acme in S3."""

    async def act() -> None:
        async with open_store(place, objects=objects_of(folder)) as store:
            with tempfile.TemporaryFile() as file:
                file.write(DATA)
                file.flush()
                number = await store.contents().store("acme", file.fileno(), len(DATA))
            await store.kept_files().keep("acme", [(name, number)])

    asyncio.run(act())


@pytest.mark.parametrize(("fault", "why"), [("strict", "it answers 400 InvalidArgument"), ("changing", "If-Match")])
def test_doctor_finds_a_storage_that_takes_no_new_token(
    place: str, tmp_path: Path, between: FaultyStorage, fault: Fault, why: str
) -> None:
    keep(place, tmp_path, "a")
    before = sorted(asyncio.run(objects_of(tmp_path).list("", "", 9)))
    between.always(fault)
    (finding,) = found()
    assert finding["severity"] == "warning"
    assert "it takes no new token, so a copy of the database is not noticed" in finding["what"]
    assert why in finding["what"]
    between.heal()
    assert found() == []
    assert sorted(asyncio.run(objects_of(tmp_path).list("", "", 9))) == before


def test_doctor_names_a_file_whose_object_is_missing_or_short(place: str, tmp_path: Path, change: Change) -> None:
    keep(place, tmp_path, "messages/1.csv")
    assert found() == []
    ((key,),) = change("SELECT object FROM contents")
    objects = objects_of(tmp_path)
    for spoil in (lambda: objects.put(key, DATA[:-1]), lambda: objects.delete([key])):
        asyncio.run(spoil())
        (finding,) = found()
        assert (finding["tenant"], finding["severity"]) == ("acme", "error")
        assert "the kept file “messages/1.csv” is missing or cut short in s3://" in finding["what"].lower()
        assert key in finding["what"]
        assert finding["do"].startswith("Restore this object from an older version")


def test_doctor_compares_a_waiting_file_in_s3_with_its_checksum(place: str, tmp_path: Path, change: Change) -> None:
    keep(place, tmp_path, "uploads/1.csv")
    right = hashlib.sha256(DATA).hexdigest()
    change(
        "INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at, started_at, sha256)"
        " SELECT id, 1, 'queued', false, 1, '/sync_users.csv', %s, '2026', '2026', %s FROM tenants",
        *(len(DATA), right),
    )
    assert found() == []
    change("UPDATE imports SET sha256 = %s", "0" * 64)
    (finding,) = found()
    assert "its SHA-256 differs (object " in finding["what"]


def test_doctor_says_that_s3_cannot_be_used_and_goes_on(
    place: str, tmp_path: Path, change: Change, between: FaultyStorage
) -> None:
    keep(place, tmp_path, "messages/1.csv")
    between.always("refused")
    change("INSERT INTO settings SELECT id, 'max_sessions', '\"lots\"' FROM tenants")
    away, setting = sorted(found(), key=lambda each: each["tenant"] or "")
    assert "it answers 403 AccessDenied" in away["what"]
    assert "HEADCOUNT_FILES_URL" in away["do"]
    assert setting["tenant"] == "acme"


def test_doctor_tells_of_objects_that_cannot_be_deleted(place: str, change: Change) -> None:
    change("INSERT INTO ended_objects VALUES ('x', clock_timestamp() - make_interval(days => 2), clock_timestamp())")
    (finding,) = found()
    assert finding["what"].lower() == "1 object should have been deleted a day ago"
    assert "s3:DeleteObject" in finding["do"]


def test_a_command_that_needs_no_file_does_not_ask_s3(place: str, between: FaultyStorage) -> None:
    assert run_cli("tenant", "list", "--json").code == 0
    assert between.asked == []


def test_without_the_driver_the_url_of_files_is_one_sentence(place: str) -> None:
    without = (
        "import sys; sys.modules['obstore'] = None; from server.cli import main; sys.exit(main(['tenant', 'list']))"
    )
    ran = subprocess.run([sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert f"{sys.prefix}/bin/pip install --require-hashes -r requirements-postgres.lock" in ran.stderr


@pytest.mark.parametrize("command", [("tenant", "list"), ("serve",)], ids=["command", "server"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HEADCOUNT_DATABASE_URL", "", "needs a database beside it. Set HEADCOUNT_DATABASE_URL"),
        ("HEADCOUNT_FILES_URL", "s3://u:secret@files", "must look like s3://bucket/folder"),
        ("HEADCOUNT_FILES_URL", "https://files/secret", "must look like s3://bucket/folder"),
        ("HEADCOUNT_FILES_KEY_FILE", "/absent", "/absent cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_setting_of_s3_is_one_sentence(
    place: str, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    ran = run_cli(*command)
    assert (ran.code, len(ran.err.splitlines())) == (1, 1), ran.err
    assert said in ran.err
    assert "secret" not in ran.err


def test_a_key_file_that_is_none_is_not_quoted(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(f"aws_secret_access_key = {SECRET}\n")
    other = tmp_path / "other"
    other.write_bytes((tmp_path / "key").read_bytes())
    monkeypatch.setenv("HEADCOUNT_FILES_KEY_FILE", str(other))
    ran = run_cli("doctor")
    assert (ran.code, SECRET in ran.err) == (1, False)
