"""Behind a load balancer, the address of a client is that of the PROXY header, which only trusted balancers send."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from server.sftp.proxy_header import SIGNATURE
from tests.support.clients import client, needs
from tests.support.keypairs import keypair
from tests.support.sftp import HOST, SftpHouse, sftp_house
from tests.support.waiting import eventually

BALANCER, CLIENT, OTHER = "127.0.0.9", "127.0.0.66", "127.0.0.7"
GREETING = b"SSH-2.0-Headcount\r\n"


def header(source: str, command: int = 0x21) -> bytes:
    body = socket.inet_aton(source) + socket.inet_aton(HOST) + bytes(4)
    return SIGNATURE + bytes([command, 0x11]) + len(body).to_bytes(2, "big") + body


async def answer(house: SftpHouse, *sent: bytes, source: str = BALANCER) -> bytes:
    """Return the first line that the server sends to a connection from `source`; empty if it is closed before."""
    reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(source, 0))
    try:
        for part in sent:
            writer.write(part)
            await writer.drain()
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


class Stands:
    """The time of an event loop that stands still."""

    def __init__(self, now: float) -> None:
        self.now = now


@contextmanager
def standing_time() -> Iterator[Stands]:
    """Let time stand still for the event loop, except when the block sets it. No sleep ends by itself."""
    loop = asyncio.get_running_loop()
    stands = Stands(loop.time())
    loop.time = lambda: stands.now  # type: ignore[method-assign]
    try:
        yield stands
    finally:
        del loop.time  # type: ignore[method-assign]


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if getattr(r, "event", "") == "proxy_header_refused"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    async with sftp_house(tmp_path, trusted_balancers=BALANCER, penalty_no_login_s=20) as house:
        house.stop_clock_of_bans()
        yield house


async def test_a_ban_applies_to_the_client_behind_the_balancer(house: SftpHouse) -> None:
    assert await answer(house, header(CLIENT)) == GREETING
    await eventually(lambda: house.listener.gate.bans().keys() == {CLIENT})
    assert await answer(house, header(CLIENT)) == b""
    assert await answer(house, header(OTHER)) == GREETING


async def test_a_header_may_come_in_pieces_and_together_with_data_of_the_client(house: SftpHouse) -> None:
    whole = header(OTHER) + b"SSH-2.0-mine\r\n"
    reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BALANCER, 0))
    for position in range(len(whole)):
        writer.write(whole[position : position + 1])
        await writer.drain()
        await asyncio.sleep(0)
    assert await reader.readline() == GREETING
    assert (await reader.readexactly(6))[5] == 20, "the key exchange begins"
    writer.close()


async def test_a_header_from_another_address_is_not_read(house: SftpHouse) -> None:
    assert await answer(house, source=CLIENT) == GREETING
    await eventually(lambda: house.listener.gate.bans().keys() == {CLIENT})
    assert await answer(house, header(CLIENT), source=OTHER) == GREETING
    await eventually(lambda: house.listener.gate.bans().keys() == {CLIENT, OTHER})


async def test_without_trusted_balancers_no_header_is_read(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, penalty_no_login_s=20) as house:
        assert await answer(house, header(CLIENT)) == GREETING
        await eventually(lambda: house.listener.gate.bans().keys() == {BALANCER})


@pytest.mark.parametrize(
    "sent",
    [b"SSH-2.0-mine\r\n", b"PROXY UNKNOWN\r\n", header(CLIENT, 0x2F), SIGNATURE + b"xxxx"],
)
async def test_a_connection_without_a_usable_header_is_closed_with_one_log_line(
    house: SftpHouse, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    assert await answer(house, sent) == b""
    assert len(refusals(caplog)) == 1
    assert BALANCER in refusals(caplog)[0]
    assert not house.listener.gate.bans(), "the balancer is not its client"


def a_header(command: int, kind: int, body: bytes, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, kind]) + (len(body) if size is None else size).to_bytes(2, "big") + body


V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") * 2 + bytes(4)
TLVS = b"\x04\x00\x00\xee\x00\x03abc" + b"\x20\xff\xff"
"""Additions of a type without meaning (NOOP), of an unknown type, and one that is longer than the header."""


@pytest.mark.parametrize(
    "sent",
    [
        header(CLIENT)[:20],
        SIGNATURE[:8],
        a_header(0x21, 0x11, bytes(12), 11),
        a_header(0x21, 0x11, bytes(4)),
        a_header(0x21, 0x21, bytes(12)),
        a_header(0x21, 0x11, b"", 0xFFFF),
        a_header(0x21, 0x12, bytes(12)),
        a_header(0x21, 0x22, bytes(36)),
        a_header(0x21, 0x31, bytes(216)),
        a_header(0x21, 0x00, b""),
        a_header(0x22, 0x11, bytes(12)),
        a_header(0x11, 0x11, bytes(12)),
    ],
    ids=[
        *("cut", "cut-signature", "too-short", "no-ports", "v4-as-v6", "too-long"),
        *("udp4", "udp6", "unix", "unspecified", "command", "version"),
    ],
)
async def test_no_header_causes_a_traceback_or_a_penalty(
    house: SftpHouse, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BALANCER, 0))
    writer.write(sent)
    writer.write_eof()
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    await eventually(lambda: refusals(caplog))
    assert not [record for record in caplog.records if record.exc_info]
    assert not failed
    assert not house.listener.gate.bans()
    assert not house.listener._sessions.connections


@pytest.mark.parametrize(
    ("sent", "address"),
    [
        (a_header(0x21, 0x21, V6), "2001:db8::/64"),
        (a_header(0x21, 0x21, socket.inet_pton(socket.AF_INET6, f"::ffff:{CLIENT}") * 2 + bytes(4)), CLIENT),
        (a_header(0x21, 0x11, header(CLIENT)[16:] + TLVS), CLIENT),
    ],
    ids=["ipv6", "mapped", "tlvs"],
)
async def test_the_client_is_known_from_headers_of_both_families_and_with_additions(
    house: SftpHouse, sent: bytes, address: str
) -> None:
    assert await answer(house, sent) == GREETING
    await eventually(lambda: house.listener.gate.bans().keys() == {address})


async def test_unusable_headers_are_logged_at_most_once_a_second(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    with standing_time():
        for _ in range(20):
            assert await answer(house, b"SSH-2.0-mine\r\n") == b""
    assert len(refusals(caplog)) == 1


async def test_a_balancer_that_leaves_before_the_header_is_logged_once(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BALANCER, 0))
    writer.write(SIGNATURE)
    writer.close()
    await eventually(lambda: refusals(caplog))
    assert len(refusals(caplog)) == 1


async def test_a_connection_without_a_header_ends_at_the_grace_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sftp_house(tmp_path, trusted_balancers=BALANCER, login_grace_s=0.2) as house:
        assert await answer(house, SIGNATURE[:5]) == b""
        assert "in time" in refusals(caplog)[0]
        with standing_time() as stands:
            reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BALANCER, 0))
            writer.write(header(CLIENT))
            assert await reader.readline() == GREETING
            stands.now += 0.2
            with suppress(ConnectionError):
                await reader.read()  # ends by itself: the login has the rest of the grace time
        writer.close()
        assert len(refusals(caplog)) == 1


async def test_a_health_check_of_the_balancer_is_closed_without_a_log_line(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server")
    for _ in range(3):
        assert await answer(house, SIGNATURE + b"\x20\x00\x00\x00") == b""
    assert not [record for record in caplog.records if record.name.startswith("server")]
    assert not house.listener.gate.bans()
    assert house.metrics.logins == []


@asynccontextmanager
async def haproxy(house: SftpHouse, folder: Path) -> AsyncIterator[int]:
    """Run HAProxy in front of the server, from the balancer's address and with health checks; yield its port."""
    with socket.create_server((HOST, 0)) as listening:
        config = folder / "haproxy.cfg"
        config.write_text(
            "defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n"
            "  timeout check 60s\n"
            f"listen sftp\n  bind fd@{listening.fileno()}\n"
            f"  server one {HOST}:{house.port} source {BALANCER} send-proxy-v2 check inter 100ms\n"
        )
        process = await asyncio.create_subprocess_exec(
            *(client("haproxy"), "-db", "-q", "-f", str(config)), pass_fds=[listening.fileno()]
        )
        try:
            yield listening.getsockname()[1]
        finally:
            process.kill()
            await process.wait()


@needs("haproxy")
async def test_haproxy_passes_on_the_addresses_of_its_clients(
    house: SftpHouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await house.tenants.ring("acme").revoke((await house.tenants.ring("acme").keys())[0].fingerprint)
    await house.tenants.ring("acme").add(keypair().export_public_key().decode(), networks=[f"{OTHER}/32"])
    async with haproxy(house, tmp_path) as port:
        behind = {"port": port, "username": "acme", "client_keys": [keypair()], "known_hosts": None, "config": None}
        async with (
            asyncssh.connect(HOST, local_addr=(OTHER, 0), **behind) as connection,
            connection.start_sftp_client() as sftp,
        ):
            assert await sftp.listdir("/")
        for _ in range(4):
            with pytest.raises((asyncssh.Error, OSError)):
                await asyncssh.connect(HOST, local_addr=(CLIENT, 0), **behind)
        await eventually(lambda: house.listener.gate.bans().keys() == {CLIENT})
        async with asyncssh.connect(HOST, local_addr=(OTHER, 0), **behind):
            pass
        assert not refusals(caplog)
