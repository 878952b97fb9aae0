"""With a read-only database or disk the server serves the existing files, and refuses all that it cannot store."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import httpx
import pytest

from tests.support.clients import EXT4, needs
from tests.support.disks import ext4_disk, fail
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = [pytest.mark.only_on("sqlite", "it is about a full or failing disk of the data"), needs("sftp", EXT4)]

SOON_S = 60.0
"""The server tries to write every ten seconds, and looks every two."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server on its own disk, with a tenant, a file and an applied import."""
    with ext4_disk(tmp_path / "data"), ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
        yield server


@contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Make files unchangeable, even for root."""
    subprocess.run(["chattr", "+i", *map(str, files)], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *map(str, files)], check=True)


async def refused(server: ServerProcess, path: str = "/sync_users.csv") -> str:
    """Return the message with which an upload is refused."""
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPError) as failure:
            async with sftp.open(path, "wb") as file:
                await file.write(people("ann", "bob"))
        return failure.value.reason


def downloads(server: ServerProcess) -> bool:
    got = server.sftp("acme", "ls -l /", f'get /sync_users.csv "{server.folder}/got.csv"')
    return got.returncode == 0 and (server.folder / "got.csv").read_bytes() == people("ann")


def notices(server: ServerProcess) -> bool:
    """Return whether the server is not ready because it has noticed that its disk is read-only."""
    ready = server.get("/readyz")
    why = ready.json().get("reasons", {}).get("disk")
    return (ready.status_code, why) == (503, "the disk of the server is read-only")


def is_down(server: ServerProcess, part: str) -> bool:
    """Return whether a scrape shows that a part is down; it shows what the one before did if a look takes long."""
    return f'headcount_ready{{part="{part}"}} 0.0' in server.get("/metrics").text


def no_traceback(server: ServerProcess) -> bool:
    return "Traceback" not in server.log.read_text()


async def test_uploads_are_refused_with_a_reason_while_headcount_db_is_read_only(server: ServerProcess) -> None:
    server.stop()
    with immutable(server.data / "headcount.db"):
        server.start()
        assert "the database is read-only for the server" in await refused(server)
        ready = server.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, False)
        assert ready.json()["reasons"] == {"database": "the database is read-only for the server"}
        assert downloads(server)
        assert no_traceback(server)


async def test_a_headcount_db_that_becomes_read_only_is_reported_and_recovers(server: ServerProcess) -> None:
    with immutable(*server.data.glob("headcount.db*")):
        assert "the disk could not be read or written" in await refused(server)
        ready = server.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["reasons"] == {"database": "headcount.db is read-only for the server"}
        wait_until(lambda: is_down(server, "database"), what="the metrics to show it")
        assert downloads(server)
    assert server.get("/readyz").status_code == 200
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["state"] == "completed"
    assert no_traceback(server)


async def test_a_disk_that_becomes_read_only_serves_files_and_refuses_uploads(server: ServerProcess) -> None:
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        fail(server.data)
        with pytest.raises(asyncssh.SFTPError):
            await file.close()
        for change in (
            sftp.mkdir("/new"),
            sftp.remove("/sync_users.csv"),
            sftp.rename("/sync_users.csv", "/old.csv"),
        ):
            with pytest.raises(asyncssh.SFTPError, match="Read-only"):
                await change
        unchanged = await sftp.open("/sync_users.csv", "rb")
        await unchanged.close()
    assert "read-only" in (await refused(server)).lower()
    assert downloads(server)
    wait_until(lambda: notices(server), SOON_S, "the fault to be noticed")
    wait_until(lambda: is_down(server, "disk"), what="the metrics to show it")
    assert server.get("/healthz").status_code == 200
    assert "the disk of the server is read-only" in await refused(server)
    assert downloads(server)
    assert server.stop() == 0
    assert no_traceback(server)


def test_the_api_reads_and_refuses_with_a_reason_on_a_read_only_disk(server: ServerProcess) -> None:
    bearer = {"Authorization": f"Bearer {server.cli('token', 'create', 'acme', '--role', 'owner').text.strip()}"}
    fail(server.data)
    tenant = f"http://127.0.0.1:{server.http_port}/api/v1/tenants/acme/"
    with httpx.Client(base_url=tenant, headers=bearer, timeout=DEADLINE_S) as api:
        for path in ("imports", "imports/1", "imports/1/file", "keys"):
            assert api.get(path).status_code == 200, path
        for _ in range(2):  # before the fault is noticed, and after
            tried = api.post("imports?dry_run=true", content=people("ann"), headers={"Content-Type": "text/csv"})
            assert (tried.status_code, tried.json()["code"]) in ((503, "disk_error"), (507, "disk_full"))
            changed = api.patch("settings", json={"max_sessions": 7})
            assert changed.status_code == 503
            wait_until(lambda: notices(server), SOON_S, "the fault to be noticed")
    assert no_traceback(server)


def test_a_start_on_a_read_only_disk_fails_and_says_what_to_do(server: ServerProcess) -> None:
    assert server.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(server.data)], check=True)
    server.launch()
    assert server.died() == 1
    said = server.log.read_text().splitlines()[-1]
    assert said.startswith(f"Error: {server.data}/headcount.lock is on a read-only file system. Check the disk")
    assert "the disk of the server is read-only" in server.cli("tenant", "list", check=False).err
    assert no_traceback(server)
    subprocess.run(["mount", "-o", "remount,rw", str(server.data)], check=True)
    server.start()
    assert downloads(server)
