"""With a full disk the server starts, serves downloads and refuses uploads; when there is space, it continues."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.site import FROM_OURS
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.writing import by_hand

pytestmark = [pytest.mark.only_on("sqlite", "it is about a full or failing disk of the data"), needs("sftp", TMPFS)]

SOON_S = 2 * DEADLINE_S
"""The server checks the disk every 2 seconds, and a large import needs some before it fills the disk; the rest is for
a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server on a small disk, with a tenant, a file and an applied import."""
    with small_disk(tmp_path / "data"), ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", people("ann"))
        assert server.wait("acme")["state"] == "completed"
        yield server


def disk_says(server: ServerProcess) -> Any:
    """Return the fault of the disk in the words of /readyz; None if there is none."""
    ready = server.get("/readyz")
    assert (ready.status_code == 200) is ready.json()["ready"]
    assert server.get("/healthz").status_code == 200
    return ready.json().get("reasons", {}).get("disk")


def full(server: ServerProcess) -> bool:
    return disk_says(server) == "the disk of the server is full"


async def refused(server: ServerProcess) -> str:
    """Return the message with which an upload is refused."""
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        with pytest.raises(asyncssh.SFTPError) as failure:
            async with sftp.open("/sync_users.csv", "wb") as file:
                await file.write(people("ann", "bob"))
        return failure.value.reason


def downloads(server: ServerProcess, content: bytes = people("ann")) -> bool:
    got = server.sftp("acme", "ls -l /", f'get /sync_users.csv "{server.folder}/got.csv"')
    return got.returncode == 0 and (server.folder / "got.csv").read_bytes() == content


def no_traceback(server: ServerProcess) -> bool:
    return "Traceback" not in server.log.read_text()


async def test_a_start_on_a_full_disk_serves_downloads_and_continues_with_space(server: ServerProcess) -> None:
    assert server.stop() == 0
    filler = fill(server.data)
    server.start()
    assert full(server)
    assert {"reserve_given_up", "disk_unusable"} <= set(server.events())
    assert downloads(server)
    assert "the disk of the server is full" in await refused(server)
    filler.unlink()
    wait_until(lambda: disk_says(server) is None, SOON_S, "the disk to be usable")
    assert "disk_usable" in server.events()
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["state"] == "completed"
    assert (server.data / "headcount.reserve").exists()
    assert no_traceback(server)


def test_a_start_on_a_full_disk_keeps_all_queued_imports(server: ServerProcess) -> None:
    server.cli("tenant", "set", "acme", "require_checksum=true")
    server.put("acme", people("ann", "bob"))
    server.put("acme", people("ann", "bob", "cy"))
    server.kill()
    by_hand(  # as kills at other moments leave them
        server.data / "headcount.db",
        "UPDATE imports SET state = 'running', attempts = 1, started_at = uploaded_at WHERE id = 2",
        "UPDATE imports SET state = 'arriving' WHERE id = 3",
    )
    filler = fill(server.data)
    server.start()
    assert full(server)
    assert [server.state("acme", each) for each in (2, 3)] == ["queued", "queued"]
    server.cli("tenant", "set", "acme", "require_checksum=false")
    wait_until(
        lambda: "full" in (server.report("acme", 2)["message"] or ""),
        SOON_S,
        "the import to give the reason of its wait",
    )
    filler.unlink()
    assert [server.wait("acme", each)["state"] for each in (2, 3)] == ["completed", "completed"]
    assert no_traceback(server)


def test_an_import_too_large_for_the_disk_runs_when_the_disk_is_larger(server: ServerProcess) -> None:
    rows = "".join(f"{'x' * 80}{number},Smith,p{number}@example.com\n" for number in range(90_000))
    server.put("acme", people() + rows.encode())
    wait_until(lambda: "full" in (server.report("acme", 2)["message"] or ""), SOON_S, "the import to be queued again")
    assert server.state("acme", 2) in ("queued", "running")
    assert downloads(server, people() + rows.encode())
    subprocess.run(["mount", "-o", "remount,size=200m", str(server.data)], check=True)
    assert server.wait("acme", 2)["state"] == "completed"
    assert no_traceback(server)


async def test_a_disk_that_fills_up_refuses_uploads_and_serves_downloads(server: ServerProcess) -> None:
    filler = fill(server.data)
    wait_until(lambda: full(server), SOON_S, "the full disk to be noticed")
    assert downloads(server)
    assert "the disk of the server is full" in await refused(server)
    filler.unlink()
    wait_until(lambda: disk_says(server) is None, SOON_S, "the disk to be usable")
    server.put("acme", people("ann", "bob"))
    assert server.wait("acme")["state"] == "completed"
    assert no_traceback(server)


def test_an_upload_over_http_that_the_full_disk_refuses_is_logged_and_counted(server: ServerProcess) -> None:
    """As one over SFTP is: the alert about uploads looks at both."""
    bearer = {"Authorization": f"Bearer {server.cli('token', 'create', 'acme', '--role', 'owner').text.strip()}"}
    fill(server.data)
    wait_until(lambda: full(server), SOON_S, "the full disk to be noticed")
    answer = httpx.post(
        f"http://127.0.0.1:{server.http_port}/api/v1/tenants/acme/imports?dry_run=false",
        content=people("ann"),
        headers={**bearer, "Content-Type": "text/csv"},
        timeout=DEADLINE_S,
    )
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert "the disk of the server is full. Nothing was changed" in answer.json()["detail"]
    assert answer.headers["retry-after"]
    assert 'headcount_uploads_total{result="refused",tenant="acme"} 1.0' in server.get("/metrics").text
    assert server.events().count("upload_refused") == 1


def test_a_tested_file_that_the_full_disk_refuses_is_logged_counted_and_sent_later(server: ServerProcess) -> None:
    bearer = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    url = f"http://127.0.0.1:{server.http_port}"
    with httpx.Client(base_url=url, headers=FROM_OURS, timeout=DEADLINE_S) as browser:
        assert browser.post("/sign-in", data={"token": bearer}).status_code == 303
        file = {"file": ("march.csv", people("ann", "bob"), "text/csv")}
        tested = browser.post("/tenants/acme/try", files=file).headers["location"].partition("?")[0]
        assert server.wait("acme", 2)["state"] == "completed"
        filler = fill(server.data)
        wait_until(lambda: full(server), SOON_S, "the full disk to be noticed")
        answer = browser.post(f"{tested}/send")
        assert answer.status_code == 507
        assert "the disk of the server is full. Nothing was changed" in answer.text
        assert 'headcount_uploads_total{result="refused",tenant="acme"} 1.0' in server.get("/metrics").text
        assert server.events().count("upload_refused") == 1
        filler.unlink()
        wait_until(lambda: disk_says(server) is None, SOON_S, "the disk to be usable")
        sent = browser.post(f"{tested}/send").headers["location"].partition("?")[0]
    report = server.wait("acme", int(sent.rpartition("/")[2]))
    assert (report["state"], report["counts"]["created"]) == ("completed", 1)
    assert no_traceback(server)


def test_a_start_without_space_or_reserve_waits_for_space(server: ServerProcess) -> None:
    server.stop()
    (server.data / "headcount.reserve").unlink()
    filler = fill(server.data)
    server.launch()
    wait_until(lambda: "start_waits" in server.events(), SOON_S, "the start to wait")
    filler.unlink()
    ready = wait_until(server._ready_line, SOON_S, "the server to be ready")
    server.sftp_port, server.http_port = ready["sftp_port"], ready["http_port"]
    assert downloads(server)
    assert server.stop() == 0
    assert no_traceback(server)
