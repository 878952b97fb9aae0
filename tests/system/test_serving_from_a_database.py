"""The real server on PostgreSQL alone: it needs no data folder, and leaves nothing on its disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.importing import crowd, people
from tests.support.own_postgres import own_postgres
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = needs(POSTGRES, "sftp")


def server_on(url: str, folder: Path) -> ServerProcess:
    """Return a server with its data in the database at `url`, and its secret and temporary files in `folder`."""
    secret, temporary = folder / "secret", folder / "temporary"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o600)
    temporary.mkdir()
    env = {"HEADCOUNT_DATABASE_URL": url, "HEADCOUNT_SECRET_KEY_FILE": str(secret), "TMPDIR": str(temporary)}
    return ServerProcess(folder, env=env)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with server_on(url_of_new(tmp_path), tmp_path) as started:
        yield started


def read(server: ServerProcess, path: str) -> bytes:
    """Return a file of acme as its client gets it."""
    local = server.folder / "read"
    done = server.sftp("acme", f'get "{path}" "{local}"')
    assert done.returncode == 0, done.stderr
    return local.read_bytes()


def names(server: ServerProcess, folder: str) -> list[str]:
    """Return the names of files in a folder of acme as its client lists them."""
    done = server.sftp("acme", f'ls -1 "{folder}"')
    assert done.returncode == 0, done.stderr
    return sorted(line.rpartition("/")[2] for line in done.stdout.splitlines()[1:])


def states(server: ServerProcess) -> dict[str, str]:
    """Return the state of each user of acme, by address."""
    return {each["email"]: each["state"] for each in server.cli("users", "list", "acme", "--json").json}


def left(server: ServerProcess) -> list[str]:
    """Return what is on the disk of the server: its data folder, and folders for temporary files."""
    temporary = [path.name for path in (server.folder / "temporary").iterdir()]
    return [*temporary, *(["data"] if server.data.exists() else [])]


async def test_a_file_is_imported_shown_undone_and_all_is_there_after_a_restart(server: ServerProcess) -> None:
    server.add_tenant("acme", deactivate_missing="true")
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["counts"]["created"] == 2
    server.put("acme", people("ann", "carl"))
    assert server.wait("acme")["state"] == "held"
    report = server.cli("import", "approve", "acme", "--json").json
    assert (report["counts"]["created"], report["counts"]["deactivated"]) == (1, 1)

    assert names(server, "/results") == ["sync_users-1.json", "sync_users-2.json"]
    assert b'"state": "completed"' in read(server, "/results/sync_users-2.json")
    assert read(server, "/sync_users.csv") == people("ann", "carl")

    token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    bearer = {"Authorization": f"Bearer {token}"}
    answer = server.get("/api/v1/tenants/acme/imports", **bearer).json()
    assert [each["state"] for each in answer["imports"]] == ["completed", "completed"]
    assert server.get("/readyz").status_code == 200
    two = 'headcount_users{state="active",tenant="acme"} 2.0'
    wait_until(lambda: two in server.get("/metrics").text, DEADLINE_S, "the users to be counted")

    assert server.cli("import", "undo", "acme", "--json").json["state"] == "undone"
    assert states(server) == {
        "ann@example.com": "active", "bob@example.com": "active", "carl@example.com": "deactivated",
    }  # fmt: skip
    key = await asyncssh.get_server_host_key("127.0.0.1", server.sftp_port)
    assert key

    assert server.stop() == 0
    assert left(server) == []
    server.start()
    again = await asyncssh.get_server_host_key("127.0.0.1", server.sftp_port)
    assert again
    assert again.public_data == key.public_data
    assert names(server, "/results") == ["sync_users-1.json", "sync_users-2.json"]
    assert server.report("acme", 2)["state"] == "undone"
    server.put("acme", people("ann", "bob", "dora"))
    assert server.wait("acme")["counts"]["created"] == 1


def test_a_file_with_its_ok_is_imported_once_after_a_kill(server: ServerProcess) -> None:
    server.add_tenant("acme")
    for number in range(5):
        server.put("acme", people("ann", f"user{number}"))
        server.kill()
        server.start()
        assert server.wait("acme")["id"] == number + 1
    assert len(server.cli("import", "list", "acme", "--json").json) == 5
    assert len(states(server)) == 6
    assert len(left(server)) == 1  # the killed ones left nothing


async def test_an_upload_that_a_kill_interrupted_is_listed_as_aborted(server: ServerProcess) -> None:
    server.add_tenant("acme")
    async with server.connect("acme") as connection, connection.start_sftp_client() as client:
        file = await client.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        server.kill()
    server.start()
    wait_until(lambda: server.cli("import", "list", "acme", "--json").json, DEADLINE_S, "the report")
    assert [each["state"] for each in server.cli("import", "list", "acme", "--json").json] == ["aborted"]
    assert names(server, "/") == ["results", "test"]


def test_a_server_without_its_secret_file_does_not_start(server: ServerProcess) -> None:
    server.stop()
    for file, sentence in ((None, "HEADCOUNT_SECRET_KEY_FILE"), (Path("/absent"), "/absent is missing")):
        server.env["HEADCOUNT_SECRET_KEY_FILE"] = str(file or "")
        ran = server.command("serve")
        assert ran.returncode == 1
        assert sentence in ran.stderr
    other = server.folder / "other"
    other.write_bytes(os.urandom(32))
    other.chmod(0o600)
    server.env["HEADCOUNT_SECRET_KEY_FILE"] = str(other)
    ran = server.command("serve")
    assert (ran.returncode, "is not the secret file" in ran.stderr) == (1, True)


def scrape_s(server: ServerProcess, line: str) -> float:
    """Return how many seconds a scrape takes, which must have this line. Prometheus waits for 10."""
    asked_at = time.monotonic()
    assert line in server.get("/metrics").text
    return time.monotonic() - asked_at


def test_a_server_outlives_its_database_and_takes_up_all_work_when_it_is_back(tmp_path: Path) -> None:
    with own_postgres() as postgres, server_on(postgres.url, tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", crowd(3000))
        postgres.stop()
        wait_until(lambda: not server.get("/readyz").json()["database"], DEADLINE_S, "the server to notice")
        down = 'headcount_ready{part="database"} 0.0'
        wait_until(lambda: down in server.get("/metrics").text, DEADLINE_S, "the metrics to show it")
        wait_until(lambda: scrape_s(server, down) < 8.0, DEADLINE_S, "a scrape to be in time for Prometheus")
        for _ in range(5):
            assert server.sftp("acme", "ls /", logins=1).returncode != 0
        assert "source_banned" not in server.events()
        lists = server.cli("import", "list", "acme", check=False)
        assert (lists.code, "Check that PostgreSQL runs" in lists.err) == (1, True)
        postgres.start()
        assert server.wait("acme")["state"] == "completed"
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
        wait_until(lambda: server.get("/readyz").json()["ready"], DEADLINE_S, "the server to be ready again")
        assert server.stop() == 0
