"""A flood of handshakes from one address, over IPv4 and IPv6, does not stop the service of a tenant."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.support.clients import needs
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

FLOOD = ("127.0.0.66", 0)
LOGINS = 5


async def _strangers(server: ServerProcess, over: asyncio.Event) -> int:
    """Do complete handshakes with an unknown key until `over` is set; return how many."""
    key, count = asyncssh.generate_private_key("ssh-ed25519"), 0
    options: dict[str, Any] = {"username": "acme", "client_keys": [key], "agent_path": None, "local_addr": FLOOD}
    while not over.is_set():
        with suppress(asyncssh.Error, OSError):
            async with asyncssh.connect("127.0.0.1", server.sftp_port, known_hosts=None, config=None, **options):
                raise AssertionError("an unknown key logged in")
        count += 1
    return count


async def _beside_a_flood(server: ServerProcess) -> int:
    over = asyncio.Event()
    flood = [asyncio.create_task(_strangers(server, over)) for _ in range(20)]
    try:
        for number in range(LOGINS):
            async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
                async with sftp.open(f"file-{number}", "wb") as file:
                    await file.write(b"x" * 100_000)
                assert await sftp.getsize(f"file-{number}") == 100_000
    finally:
        over.set()
        counts = await asyncio.gather(*flood)
    return sum(counts)


def test_a_flood_of_handshakes_from_one_address_does_not_stop_a_tenant(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_MAX_HANDSHAKES_PER_ADDRESS": "10"}) as server:
        server.add_tenant("acme")
        assert asyncio.run(_beside_a_flood(server)) > LOGINS
        assert "Traceback" not in server.log.read_text()


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("host", ["127.0.0.1", *(["::1"] if _has_ipv6() else [])])
def test_handshakes_of_one_address_are_limited(tmp_path: Path, host: str) -> None:
    env = {"HEADCOUNT_SFTP_HOST": host, "HEADCOUNT_MAX_HANDSHAKES_PER_ADDRESS": "3"}
    with ServerProcess(tmp_path, env=env) as server, ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(socket.create_connection((host, server.sftp_port)))
            assert client.recv(100).startswith(b"SSH-2.0-Headcount")
        refused = stack.enter_context(socket.create_connection((host, server.sftp_port)))
        heard = b""
        with suppress(ConnectionError):
            while data := refused.recv(4096):
                heard += data
        assert b"The server cannot accept a login now" in heard
        wait_until(lambda: "handshake_cap" in server.events())


@needs("sftp")
def test_too_many_login_attempts_end_the_connection_with_the_reason(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, env={"HEADCOUNT_MAX_AUTH_TRIES": "2"}) as server:
        server.add_tenant("acme")
        own = server.private_key("acme").read_bytes()
        for number in range(3):
            other = server.private_key(f"other{number}")
            other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
            other.chmod(0o600)
        more = [part for number in range(3) for part in ("-i", str(server.private_key(f"other{number}")))]
        server.private_key("acme").write_bytes(server.private_key("other0").read_bytes())
        refused = _sftp_with(server, more)
        assert refused.returncode == 255
        assert "Too many authentication failures" in refused.stderr
        server.private_key("acme").write_bytes(own)
        assert server.sftp("acme", "ls").returncode == 0


def _sftp_with(server: ServerProcess, more: list[str]) -> Any:
    """Run OpenSSH's sftp, which also offers these keys."""
    usual = server.options("acme")
    server.options = lambda _tenant: [*usual, *more]  # type: ignore[method-assign]
    try:
        return server.sftp("acme", "ls")
    finally:
        del server.options  # type: ignore[method-assign]
