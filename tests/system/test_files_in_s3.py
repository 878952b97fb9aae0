"""The real server on PostgreSQL, with the bytes of files in S3: nothing is lost while the storage is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from server.settings import environment_of_hooks
from tests.support.bucket import KEY_ID, SECRET, bucket_of, key_file, storage
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import FaultyStorage, faulty_storage
from tests.support.importing import crowd, people
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually, wait_until
from tests.system.test_serving_from_a_database import left, names, read, server_on, states

pytestmark = needs(POSTGRES, "sftp")

AWAY = "the storage of the server cannot be used now; try again later"


@pytest.fixture
def between() -> Iterator[FaultyStorage]:
    with faulty_storage(storage()) as proxy:
        yield proxy


@pytest.fixture
def server(tmp_path: Path, between: FaultyStorage) -> Iterator[ServerProcess]:
    server = server_on(url_of_new(tmp_path), tmp_path)
    server.env["HEADCOUNT_FILES_URL"] = bucket_of(tmp_path, between.url)
    server.env["HEADCOUNT_FILES_KEY_FILE"] = str(key_file(tmp_path))
    with server as started:
        started.add_tenant("acme")
        yield started


def is_ready(server: ServerProcess) -> bool:
    return server.get("/readyz").status_code == 200


def test_a_file_in_s3_is_imported_and_all_is_there_after_a_restart(
    server: ServerProcess, between: FaultyStorage
) -> None:
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["counts"]["created"] == 2
    assert server.get("/readyz").json()["files"]
    assert 'headcount_ready{part="files"} 1.0' in server.get("/metrics").text
    assert {method for method, _ in between.asked} >= {"PUT", "GET"}
    assert server.stop() == 0
    assert left(server) == []
    server.start()
    assert read(server, "/sync_users.csv") == people("ann", "bob")
    assert names(server, "/results") == ["sync_users-1.json"]
    assert b'"state": "completed"' in read(server, "/results/sync_users-1.json")
    server.put("acme", people("ann"))
    assert server.wait("acme")["counts"]["unchanged"] == 1
    assert len(states(server)) == 2
    assert all(" is off: " in each["what"] for each in server.cli("doctor", "--json", check=False).json)


async def test_a_client_is_told_to_try_again_while_s3_is_away_and_nothing_is_lost(
    server: ServerProcess, between: FaultyStorage
) -> None:
    await asyncio.to_thread(server.put, "acme", people("ann"))
    await asyncio.to_thread(server.wait, "acme")
    between.always("busy")
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("ann", "bob"))
        with pytest.raises(asyncssh.SFTPError, match=AWAY):
            await file.close()
        reading = await sftp.open("/sync_users.csv", "rb")
        with pytest.raises(asyncssh.SFTPError, match=AWAY):
            await reading.read(9)
        await eventually(lambda: asyncio.to_thread(lambda: not is_ready(server)))
        answer = server.get("/readyz").json()
        assert (answer["files"], answer["database"]) == (False, True)
        assert answer["reasons"] == {"files": "the storage of files cannot be used"}
        assert sorted(await sftp.listdir("/")) == [".", "..", "results", "sync_users.csv", "test"]
        between.heal()
        await eventually(lambda: asyncio.to_thread(lambda: is_ready(server)))
        assert await reading.read() == people("ann")
    await asyncio.to_thread(server.put, "acme", people("ann", "bob"))
    report = await asyncio.to_thread(server.wait, "acme")
    assert report["counts"]["created"] == 1
    await eventually(lambda: "files_back" in server.events())
    away = [line["message"] for line in server.lines() if line["event"] == "files_away"]
    assert away == ["The storage of files is away (it answers 500 InternalError); retrying."]


def test_a_storage_that_stores_nothing_is_away_although_it_can_be_read(
    server: ServerProcess, between: FaultyStorage
) -> None:
    server.put("acme", people("ann"))
    server.wait("acme")
    between.always("refused", "PUT")
    local = server.folder / "local.csv"
    local.write_bytes(people("bob"))
    assert server.sftp("acme", f'put "{local}" /sync_users.csv').returncode != 0
    wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
    assert read(server, "/sync_users.csv") == people("ann")
    between.heal()
    wait_until(lambda: is_ready(server), DEADLINE_S, "the server to be ready")
    (away,) = [line["message"] for line in server.lines() if line["event"] == "files_away"]
    assert "it answers 403 AccessDenied" in away


def test_an_import_waits_while_s3_is_away(server: ServerProcess, between: FaultyStorage) -> None:
    between.choose = lambda method, path: "busy" if method == "GET" else None
    server.put("acme", crowd(50))
    wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
    (waiting,) = server.cli("import", "list", "acme", "--json").json
    assert waiting["state"] in ("queued", "running")
    between.heal()
    assert server.wait("acme")["counts"]["created"] == 50


def test_a_file_with_its_ok_is_imported_once_after_a_kill(server: ServerProcess) -> None:
    server.add_tenant("globex")
    for number in range(3):
        for tenant in ("acme", "globex"):
            server.put(tenant, people("ann", f"user{number}"))
        server.kill()
        server.start()
        for tenant in ("acme", "globex"):
            assert server.wait(tenant)["id"] == number + 1
    assert len(server.cli("import", "list", "acme", "--json").json) == 3
    assert len(states(server)) == 4


def test_the_access_key_is_in_no_log_and_no_error(server: ServerProcess, between: FaultyStorage) -> None:
    between.always("refused")
    wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
    local = server.folder / "local.csv"
    local.write_bytes(people("ann"))
    said = server.sftp("acme", f'put "{local}" /sync_users.csv')
    doctor = server.command("doctor")
    assert "it answers 403 AccessDenied" in doctor.stdout
    server.stop()
    start = server.command("serve")
    assert start.returncode == 1
    assert "the storage of files cannot be used: it answers 403 AccessDenied" in start.stderr
    assert len(start.stderr.splitlines()) == 1, start.stderr
    for text in (said.stderr, doctor.stdout, doctor.stderr, start.stderr, server.log.read_text()):
        for secret in (KEY_ID, SECRET, "Signature="):
            assert secret not in text


def test_the_access_key_may_be_in_variables_of_aws_which_hooks_do_not_get(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    del server.env["HEADCOUNT_FILES_KEY_FILE"]
    server.env |= {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    server.start()
    server.put("acme", people("ann"))
    assert server.wait("acme")["state"] == "completed"
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    assert "TMPDIR" in (given := environment_of_hooks())
    assert not [name for name in server.env if name.startswith("AWS_") and name in given]


async def test_an_upload_to_a_slow_storage_lands_and_holds_no_other_session(
    server: ServerProcess, between: FaultyStorage
) -> None:
    await asyncio.to_thread(server.put, "acme", people("ann"))
    await asyncio.to_thread(server.wait, "acme")
    between.always("silent", "PUT")
    asked = len(between.asked)
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("bob"))
        closing = asyncio.create_task(file.close())
        await eventually(lambda: len(between.asked) > asked)
        assert await asyncio.to_thread(read, server, "/sync_users.csv") == people("ann")
        assert not closing.done()  # so the other session did not wait for what this one waits for
        between.heal()
        await closing
    assert await asyncio.to_thread(read, server, "/sync_users.csv") == people("bob")
