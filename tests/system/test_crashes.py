"""A server killed or stopped at any step repairs all at its next start: no half, lost or double import."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mortal_server import FIRST_IMPORT_STEPS, IMPORT_STEPS, UPLOAD_STEPS
from tests.support.server_process import ServerProcess, copied
from tests.support.waiting import eventually, wait_until

pytestmark = needs("sftp")

OLD = people("ann", "bob")
NEW = people("ann", *(f"p{number}" for number in range(5000)))  # more than one batch
MANY = people(*(f"p{number}" for number in range(60_000)))  # enough batches for a signal to be seen in one


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tenant that has imported OLD."""
    folder = tmp_path_factory.mktemp("prepared")
    with ServerProcess(folder) as running:
        running.add_tenant("acme")
        running.put("acme", OLD)
        assert running.wait("acme")["state"] == "completed"
        assert running.stop() == 0
    running.log.unlink()
    return folder


@pytest.fixture
def server(prepared: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """Return a server that can kill itself, not started yet."""
    folder = copied(prepared, tmp_path / "server")
    server = ServerProcess(folder, entry="tests.support.mortal_server")
    try:
        yield server
    finally:
        server.end()


def shows(server: ServerProcess, content: bytes) -> bool:
    return server.stored.visible("acme", "/sync_users.csv") == content


def send(server: ServerProcess, content: bytes = NEW) -> bool:
    """Upload `content`, and return whether the client got OK."""
    local = server.folder / "new.csv"
    local.write_bytes(content)
    return server.sftp("acme", f'put "{local}" /sync_users.csv').returncode == 0


def is_done(server: ServerProcess, import_id: int = 2) -> None:
    """Assert that the import was applied exactly once, in every place that shows it."""
    server.reaches("acme", import_id, "completed")
    report = server.report("acme", import_id)
    assert (report["counts"]["created"], report["counts"]["unchanged"]) == (5000, 1)
    assert server.result("acme", import_id) == report
    assert server.stored.applied("acme") == [(1, 2), (import_id, 5000)]
    assert len(server.users("acme")) == 5002
    assert server.stored.unfinished("acme") == []


@pytest.mark.parametrize("delay_s", [0, 0.05, 0.2])
def test_an_acknowledged_upload_survives_a_crash(server: ServerProcess, delay_s: float) -> None:
    server.start()
    assert send(server)
    time.sleep(delay_s)
    server.kill()
    server.start()
    is_done(server)
    assert shows(server, NEW)


@pytest.mark.parametrize("step", IMPORT_STEPS)
def test_an_import_is_applied_exactly_once_after_a_kill(server: ServerProcess, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step)
    assert send(server)
    assert server.died() == -9
    server.start()
    is_done(server)


@pytest.mark.parametrize("step", FIRST_IMPORT_STEPS)
def test_a_first_import_is_applied_exactly_once_after_a_kill(tmp_path: Path, step: str) -> None:
    server = ServerProcess(tmp_path, entry="tests.support.mortal_server")
    try:
        server.start(HEADCOUNT_TEST_STEP=step)
        server.add_tenant("acme")
        assert send(server)
        assert server.died() == -9
        server.start()
        server.reaches("acme", 1, "completed")
        assert server.report("acme", 1)["counts"]["created"] == len(server.users("acme")) == 5001
    finally:
        server.end()
    server.stored.check_users("acme")


@pytest.mark.parametrize("step", UPLOAD_STEPS)
def test_an_upload_is_complete_or_absent_after_a_kill(server: ServerProcess, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step)
    ok = send(server)
    assert server.died() == -9
    server.start()
    if shows(server, NEW):
        is_done(server)
    else:
        assert not ok
        assert shows(server, OLD)
        assert server.state("acme", 2) == "aborted"
        assert server.stored.copy("acme", 2) is None
        assert server.stored.applied("acme") == [(1, 2)]
        assert send(server)
        newest = server.wait("acme")
        is_done(server, newest["id"])


@pytest.mark.parametrize("step", ["between batches", "before its commit", "before its end is written"])
def test_an_import_ends_within_the_grace_time_of_a_stop(server: ServerProcess, step: str) -> None:
    server.start(HEADCOUNT_TEST_STEP=step, HEADCOUNT_TEST_SIGNAL="SIGTERM")
    assert send(server)
    assert server.died() == 0
    assert server.state("acme", 2) == "completed"
    server.start()
    is_done(server)


def test_a_stop_without_grace_time_leaves_the_import_for_the_next_start(server: ServerProcess) -> None:
    server.start(HEADCOUNT_TEST_STEP="between batches", HEADCOUNT_TEST_SIGNAL="SIGSTOP", HEADCOUNT_STOP_GRACE_S="0")
    assert send(server, MANY)
    server.wait_until_frozen()
    server.thaw(signal.SIGTERM)
    assert server.died() == 0
    assert server.state("acme", 2) == "queued"
    assert server.stored.applied("acme") == [(1, 2)]
    server.start()
    assert server.wait("acme", 2)["state"] == "completed"
    assert server.stored.applied("acme") == [(1, 2), (2, 60_000)]


def test_an_import_that_kills_the_server_every_time_is_given_up(server: ServerProcess) -> None:
    server.start(HEADCOUNT_TEST_STEP="between batches")
    assert send(server)
    assert server.died() == -9
    for _ in range(4):
        server.launch(HEADCOUNT_TEST_STEP="between batches")
        assert server.died() == -9
    server.start()
    report = server.wait("acme", 2)
    assert report["state"] == "failed"
    assert [problem["code"] for problem in report["messages"]] == ["gave_up"]
    assert server.stored.applied("acme") == [(1, 2)]


@pytest.mark.parametrize("kill", [True, False])
async def test_an_unfinished_upload_publishes_nothing_when_the_server_ends(server: ServerProcess, kill: bool) -> None:
    server.start()
    async with server.connect("acme") as connection:
        sftp = await connection.start_sftp_client()
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(NEW[:10_000])
        if kill:
            await eventually(lambda: server.stored.noted("acme") == 10_000, what="the size to be noted")
            server.kill()
        else:
            assert server.stop() == 0
        with pytest.raises((asyncssh.Error, OSError)):
            await file.close()
    server.start()
    assert shows(server, OLD)
    assert server.state("acme", 2) == "aborted"
    assert server.report("acme", 2)["file"]["size"] == 10_000
    assert server.stored.unfinished("acme") == []
    assert server.stored.applied("acme") == [(1, 2)]


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
def test_a_broken_tenant_does_not_stop_other_tenants(server: ServerProcess) -> None:
    for name in ("moved", "damaged"):
        server.add_tenant(name)
    server.files("moved").root.rename(server.folder / "elsewhere")
    server.files("damaged").users_db.write_bytes(b"no database" * 1000)
    server.start()
    assert send(server)
    is_done(server)
    assert server.get("/readyz").status_code == 200
    assert server.sftp("moved", "ls").returncode != 0


@pytest.mark.only_on("sqlite", "any number of servers may share a database")
def test_a_second_server_on_the_same_data_is_refused(server: ServerProcess) -> None:
    server.start()
    second = server.command("serve")
    assert second.returncode == 1
    assert "another server already runs on" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.get("/readyz").status_code == 200


def test_a_port_in_use_is_reported_in_one_sentence(server: ServerProcess, tmp_path: Path) -> None:
    server.start()
    other = ServerProcess(tmp_path / "other", env={"HEADCOUNT_HTTP_PORT": str(server.http_port)})
    (tmp_path / "other").mkdir()
    second = other.command("serve")
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {server.http_port}" in second.stderr


def test_an_idle_server_stops_at_once_and_logs_it(server: ServerProcess) -> None:
    server.start()
    assert server.stop() == 0
    assert server.events()[-2:] == ["stopping", "stopped"]


def test_a_second_signal_stops_the_server_at_once(server: ServerProcess) -> None:
    server.start(
        HEADCOUNT_TEST_STEP="between batches", HEADCOUNT_TEST_SIGNAL="SIGSTOP", HEADCOUNT_STOP_GRACE_S="3600"
    )
    assert send(server, MANY)
    server.wait_until_frozen()
    server.thaw(signal.SIGTERM, signal.SIGINT)
    assert server.died() == 0
    assert "stopping_at_once" in server.events()
    assert server.state("acme", 2) == "queued"
    server.start()
    assert server.wait("acme", 2)["state"] == "completed"
    assert server.stored.applied("acme") == [(1, 2), (2, 60_000)]


def test_the_ready_line_of_the_text_log_names_both_ports(server: ServerProcess) -> None:
    server.launch(HEADCOUNT_LOG_FORMAT="text", HEADCOUNT_LOG_LEVEL="error")
    line = wait_until(lambda: server.log.read_text().splitlines()[-1:], 30)
    wait_until(lambda: server.log.read_text().splitlines()[-1].startswith("listening "), 30)
    line = server.log.read_text().splitlines()[-1]
    sftp, http = (part.rpartition("=")[2] for part in line.split()[1:])
    assert line == f"listening sftp={sftp} http={http}"
    server.http_port = int(http.rpartition(":")[2])
    assert server.get("/healthz").status_code == 200
