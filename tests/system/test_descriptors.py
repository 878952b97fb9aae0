"""Many connections, or many open files of one tenant: the server serves the others, and its log stays short."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import asyncssh
import pytest

from server.sftp.auth import BUSY
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually, wait_until

pytestmark = needs("sftp")

DESCRIPTORS = 256
SOURCES = [f"127.0.{number}.7" for number in range(1, 13)]
EACH = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with few descriptors without bans, and the tenants acme and umbrella."""
    env = {"NARROW_TO": str(DESCRIPTORS), "HEADCOUNT_LOGIN_GRACE_S": "60", "HEADCOUNT_PENALTY_NO_LOGIN_S": "0"}
    with ServerProcess(tmp_path, entry="tests.support.narrow_server", env=env) as running:
        running.add_tenant("acme")
        running.add_tenant("umbrella")
        running.put("acme", people("ann"))
        assert running.wait("acme")["state"] == "completed"
        yield running


def open_now(server: ServerProcess) -> int:
    assert server.process
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def crowd(server: ServerProcess, stack: ExitStack, each: int = EACH) -> list[socket.socket]:
    """Connect from many addresses without sending anything; return the sockets."""
    found = []
    for source in SOURCES:
        for _ in range(each):
            client = stack.enter_context(socket.socket())
            client.bind((source, 0))
            client.settimeout(DEADLINE_S)  # a server that is late makes it try again after 1, 3, 7 and 15 seconds
            client.connect(("127.0.0.1", server.sftp_port))
            found.append(client)
    return found


def test_many_connections_without_a_login_do_not_stop_http_or_tenants(server: ServerProcess) -> None:
    before = open_now(server)
    with ExitStack() as stack:
        asyncio.run(_uploads_beside(server, stack))
        assert open_now(server) < DESCRIPTORS - 50
        # The crowd has all places, one for each address; slow clients lose theirs.
        wait_until(lambda: server.sftp("umbrella", "ls").returncode == 0, what="a tenant to get a place")
        assert server.get("/healthz").status_code == server.get("/readyz").status_code == 200
    # One more is umbrella's folder.
    wait_until(lambda: open_now(server) <= before + server.stored.connections + 4, what="all descriptors to be free")
    said = server.log.read_text()
    assert "Traceback" not in said
    assert said.count("\n") < 200
    assert "handshake_cap" in server.events()


async def _uploads_beside(server: ServerProcess, stack: ExitStack) -> None:
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("before", "wb") as file:
            await file.write(b"x")
            await asyncio.to_thread(crowd, server, stack)
            await file.write(b"x" * 100_000)
        assert await sftp.getsize("before") == 100_001


def test_one_tenant_cannot_take_all_descriptors(server: ServerProcess) -> None:
    before = open_now(server)
    asyncio.run(_opens_all_it_can(server))
    wait_until(lambda: open_now(server) <= before + server.stored.connections + 4, what="all descriptors to be free")
    assert "Traceback" not in server.log.read_text()


async def _opens_all_it_can(server: ServerProcess) -> None:
    async with server.connect("acme") as connection:
        refused = []
        for _ in range(8):
            sftp = await connection.start_sftp_client()
            refused += [each for each in [await _opens(sftp, number) for number in range(20)] if each]
        assert refused
        assert all("Too many open files" in each for each in refused)
        assert open_now(server) < DESCRIPTORS - 100
        await asyncio.to_thread(server.put, "umbrella", people("bob"))
        assert (await asyncio.to_thread(server.get, "/healthz")).status_code == 200


async def _opens(sftp: asyncssh.SFTPClient, number: int) -> str | None:
    """Open one more file or folder; return the error, or None."""
    try:
        if number % 2:
            await sftp.open("sync_users.csv", "rb")
        else:
            await sftp._handler.opendir(b"/")
    except asyncssh.SFTPError as error:
        return str(error)
    return None


def test_a_server_without_descriptors_logs_it_once_a_second_and_recovers(server: ServerProcess) -> None:
    assert server.process
    process, began = server.process.pid, time.monotonic()
    lines = len(server.lines())
    few = open_now(server) + 2
    resource.prlimit(process, resource.RLIMIT_NOFILE, (few, DESCRIPTORS))
    with ExitStack() as stack:
        for _ in range(60):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)  # most of them wait until they are accepted
            client.connect_ex(("127.0.0.1", server.sftp_port))
        wait_until(lambda: server.events().count("shortage") >= 3, what="the shortage to be logged again")
        more, seconds = len(server.lines()) - lines, time.monotonic() - began
        assert more <= 2 * seconds + 5
        assert [line for line in server.lines() if "Traceback" in line] == []
        resource.prlimit(process, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    # The server accepts the waiting connections first.
    wait_until(lambda: server.sftp("umbrella", "ls").returncode == 0, what="a tenant to be served again")
    assert server.stop() == 0


def test_the_soft_limit_is_raised_to_the_hard_one(server: ServerProcess) -> None:
    assert server.process
    assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (DESCRIPTORS, DESCRIPTORS)


def test_settings_above_the_descriptors_are_lowered_with_a_warning_each(tmp_path: Path) -> None:
    names = ["MAX_CONNECTIONS", "MAX_HANDSHAKES", "MAX_TENANT_HANDLES", "MAX_HANDLES", "MAX_HTTP_CONNECTIONS"]
    env = {"NARROW_TO": str(DESCRIPTORS), **{f"HEADCOUNT_{name}": "5000" for name in names}}
    with ServerProcess(tmp_path, entry="tests.support.narrow_server", env=env) as server:
        said = [line["message"] for line in server.lines() if line["event"] == "fence_lowered"]
        assert sorted(each.partition(" is 5000, but ")[0] for each in said) == sorted(names)
        with ExitStack() as stack:
            for number in range(DESCRIPTORS):
                client = stack.enter_context(socket.socket())
                client.bind((SOURCES[number % len(SOURCES)], 0))
                client.connect(("127.0.0.1", server.http_port))
                if number % 16 == 15:  # a server accepts all that wait before it turns one of them away
                    assert server.get("/readyz").status_code == 200
        assert "shortage" not in server.events()


def test_a_connection_beyond_the_descriptors_gets_no_details(server: ServerProcess) -> None:
    with ExitStack() as stack:
        clients = crowd(server, stack, each=3)
        heard = asyncio.run(_all_heard(clients))
    assert any(BUSY.encode() in each for each in heard)
    assert all(each.startswith(b"SSH-2.0-Headcount\r\n") for each in heard if each)


async def _all_heard(clients: list[socket.socket]) -> list[bytes]:
    """Return what each has heard, once all of them were greeted or turned away."""
    heard = [b""] * len(clients)

    async def listen(number: int, client: socket.socket) -> None:
        client.setblocking(False)
        with suppress(OSError):
            while data := await asyncio.get_running_loop().sock_recv(client, 65536):
                heard[number] += data

    tasks = [asyncio.create_task(listen(*each)) for each in enumerate(clients)]
    await eventually(lambda: all(text or task.done() for text, task in zip(heard, tasks, strict=True)))
    await eventually(lambda: any(BUSY.encode() in each for each in heard), what="a client to be turned away")
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return heard
