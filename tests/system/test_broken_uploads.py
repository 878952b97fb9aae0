"""After any interruption of an upload to the real server the old file stays byte for byte, and no user changes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.support.clients import client, needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually, wait_until

pytestmark = needs("sftp")

STAFF = [f"p{number}" for number in range(4000)]
OLD = people(*STAFF, job_title="x" * 250)
NEW = people(*(f"new{number}" for number in range(40_000)), *STAFF, job_title="y" * 250)
"""So long that its upload lasts ten seconds more when a part is there: what ends it may be late."""
PART = 600_000
TENANTS = (f"broken-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    """A tenant whose files are complete lists, and whose first one was applied."""
    name = next(TENANTS)
    server.add_tenant(name, deactivate_missing="true")
    server.put(name, OLD)
    assert server.wait(name)["state"] == "completed"
    return name


@contextmanager
def sending(server: ServerProcess, tenant: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield OpenSSH's sftp when it has sent a part of the new list, as at a terminal, at 1 MB/s."""
    local = server.folder / f"{tenant}.new"
    local.write_bytes(NEW)
    options = [*server.options(tenant), "-l", "8000"]
    process = subprocess.Popen(
        [client("sftp"), *options, f"{tenant}@127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdin
        target = "part" if more else "sync_users.csv"
        process.stdin.write("".join(f"{line}\n" for line in (f'put "{local}" {target}', *more)).encode())
        process.stdin.flush()
        wait_until(lambda: any(size >= PART for size in server.stored.unfinished(tenant)), what="a part")
        yield process
    finally:
        process.kill()
        process.communicate()


def nothing_happened(server: ServerProcess, tenant: str) -> None:
    assert server.stored.visible(tenant, "/sync_users.csv") == OLD
    users = server.users(tenant)
    assert len(users) == len(STAFF)
    assert set(users.values()) == {"active"}


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize("victim", ["sftp", "its ssh"])
def test_a_client_killed_during_an_upload_changes_nothing(server: ServerProcess, tenant: str, victim: str) -> None:
    with sending(server, tenant) as process:
        os.kill(process.pid if victim == "sftp" else child_of(process.pid), signal.SIGKILL)
        assert server.reaches(tenant, 2, "aborted")
    nothing_happened(server, tenant)
    assert PART <= server.report(tenant, 2)["file"]["size"] < len(NEW)


ENDS: dict[str, Callable[[Any], None]] = {
    "reset": lambda channel: _reset(channel.get_connection()),
    "its channel closed": lambda channel: channel.close(),
}


def _reset(connection: Any) -> None:
    raw = connection.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()


@pytest.mark.parametrize("end", ENDS)
async def test_a_connection_lost_during_an_upload_changes_nothing(
    server: ServerProcess, tenant: str, end: str
) -> None:
    with suppress(asyncssh.Error, OSError):
        async with server.connect(tenant) as connection:
            sftp = await connection.start_sftp_client()
            file = await sftp.open("/sync_users.csv", "wb")
            other = await sftp.open("/other.csv", "wb")
            await file.write(NEW[:PART])
            await other.write(NEW[:PART])
            ENDS[end](sftp._handler._writer.channel)  # type: ignore[union-attr]
            await eventually(lambda: server.state(tenant, 2) == "aborted")
    nothing_happened(server, tenant)
    assert server.stored.visible(tenant, "/other.csv") is None


@pytest.mark.parametrize("renamed", [False, True])
def test_half_a_file_that_ctrl_c_closed_changes_no_user(server: ServerProcess, tenant: str, renamed: bool) -> None:
    with sending(server, tenant, *(["rename part sync_users.csv"] if renamed else [])) as process:
        process.send_signal(signal.SIGINT)
        # A file cut inside a row fails; one cut between two rows is held, because it may be incomplete.
        server.reaches(tenant, 2, "held", "failed")
    users = server.users(tenant)
    assert len(users) == len(STAFF)
    assert set(users.values()) == {"active"}


def test_the_end_of_the_server_during_an_upload_changes_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme", deactivate_missing="true")
        server.put("acme", OLD)
        assert server.wait("acme")["state"] == "completed"
        with sending(server, "acme"):
            assert server.stop() == 0
        nothing_happened(server, "acme")
        server.start()
        assert server.reaches("acme", 2, "aborted")
        with sending(server, "acme"):
            server.kill()
        server.start()
        assert server.state("acme", 3) == "aborted"
        nothing_happened(server, "acme")
        assert server.stored.unfinished("acme") == []


def test_a_file_of_100000_rows_is_imported_in_bounded_memory(tmp_path: Path) -> None:
    rows = b"".join(b"Pat,Smith,p%d@example.com,Team %d\n" % (number, number % 500) for number in range(100_000))
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.put("acme", b"first_name,last_name,email,primary_team\n" + rows)
        report = server.wait("acme", 1)
        assert (report["state"], report["counts"]["created"]) == ("completed", 100_000)
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kib < 300 * 1024
