"""Packets that a client should not send, with and without a login: no traceback, no open handle, no memory kept."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh import constants as c
from asyncssh.packet import Byte, String, UInt32, UInt64

from tests.support.sftp import HOST, SftpHouse, sftp_house
from tests.support.waiting import eventually
from tests.support.wrong_packets import WrongPackets, framed

HELLO = framed(Byte(c.FXP_INIT) + UInt32(3))
MKDIR = framed(Byte(c.FXP_MKDIR) + UInt32(1) + String(b"made") + UInt32(1) + UInt64(3))
PACKETS, SESSIONS = 5_000, 50
STRANGERS = 600


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the logged internal errors: the input of a client must never cause one."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]


async def answers_to(house: SftpHouse, *packets: bytes) -> bytes:
    """Return all answers of an SFTP session to `packets`, until it ends."""
    async with house.connect() as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        for packet in packets:
            writer.write(packet)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 30)


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_a_client_of_a_version_before_3_is_refused(
    house: SftpHouse, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert await answers_to(house, framed(Byte(c.FXP_INIT) + UInt32(version)), MKDIR) == b""
    assert house.at("made") is None
    assert not faults(caplog)


@pytest.mark.parametrize("version", [3, 4, 6, (1 << 32) - 1])
async def test_a_client_of_version_3_or_later_is_answered_with_3(house: SftpHouse, version: int) -> None:
    answer = await answers_to(house, framed(Byte(c.FXP_INIT) + UInt32(version)))
    assert answer[4:9] == Byte(c.FXP_VERSION) + UInt32(3)


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        framed(b""),
        framed(Byte(c.FXP_INIT)),
        framed(Byte(c.FXP_OPEN) + UInt32(3)),
        framed(Byte(c.FXP_INIT) + UInt32(3) + String(b"vendor-id") + String(b"x")),
        framed(Byte(c.FXP_INIT) + UInt32(3) + String(b"\xff") + String(b"")),
        UInt32((1 << 32) - 1),
        UInt32(5) + Byte(c.FXP_INIT),
    ],
    ids=["nothing", "empty", "no-version", "no-init", "vendor-id", "not-text", "too-long", "cut"],
)
async def test_no_first_packet_causes_a_traceback(
    house: SftpHouse, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await answers_to(house, greeting)
    await house.nothing_open()
    assert not faults(caplog)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    """A listener that bans no address, so that it reads every packet."""
    async with sftp_house(tmp_path, unbanned_networks="127.0.0.0/8") as house:
        yield house


async def test_no_request_of_a_tenant_causes_a_traceback_or_stays_open(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    packets = WrongPackets(1)
    async with house.connect() as connection:
        for _ in range(SESSIONS):
            await _session(connection, packets)
    await house.nothing_open()
    assert await house.counts_truly()
    assert house.listener._sessions.entrance.handles.taken_by("acme") == 0
    assert not faults(caplog)


async def _session(connection: asyncssh.SSHClientConnection, packets: WrongPackets) -> None:
    writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
    answers = asyncio.ensure_future(_to_the_end(reader))
    with suppress(asyncssh.Error, OSError):
        writer.write(packets.greeting())
        for number in range(PACKETS // SESSIONS):
            writer.write(packets.one())
            if number % 20 == 0:
                await writer.drain()
        writer.write_eof()
    await asyncio.wait_for(answers, 30)


async def _to_the_end(reader: Any) -> None:
    with suppress(asyncssh.Error, OSError):
        while await reader.read(65536):
            pass


async def test_no_message_without_a_login_causes_a_traceback_or_keeps_memory(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    for seed in range(0, STRANGERS, 30):
        await asyncio.gather(*(_stranger(house, WrongPackets(each)) for each in range(seed, seed + 30)))
    await eventually(lambda: not house.listener._sessions.connections, what="all connections to end")
    assert not failed
    assert not faults(caplog)
    gc.collect()
    left = [each for each in gc.get_objects() if type(each) is asyncssh.SSHServerConnection]
    assert len(left) < STRANGERS / 20
    async with house.client() as sftp:
        assert "results" in await sftp.listdir()


async def _stranger(house: SftpHouse, packets: WrongPackets) -> None:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, house.port)
        try:
            writer.write(packets.version_line())
            for _ in range(5):
                writer.write(packets.ssh())
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()


class Rude(asyncssh.SSHClient):
    """A client that sends wrong messages instead of its login."""

    def __init__(self, seed: int) -> None:
        self._packets = WrongPackets(seed)
        self._connection: Any = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def public_key_auth_requested(self) -> None:
        inside = self._connection
        inside._auth_complete = True  # otherwise the library would hold most of them back
        for _ in range(20):
            kind, content = self._packets.message()
            inside.send_packet(kind, content)
        inside._auth_complete = False


async def test_no_message_during_the_login_causes_a_traceback_or_logs_in(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(60):
        with suppress(asyncssh.Error, OSError):
            options = {"client_factory": lambda seed=seed: Rude(seed), "client_keys": []}
            await asyncio.wait_for(_connects(house, options), 30)
    await eventually(lambda: not house.listener._sessions.connections, what="all clients to disconnect")
    assert ("acme", "accepted") not in house.metrics.logins
    assert house.metrics.logins
    assert not faults(caplog)


async def _connects(house: SftpHouse, options: dict[str, Any]) -> None:
    async with house.connect(**options):
        pass


async def test_a_packet_with_a_wrong_mac_ends_the_connection(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.connect() as connection:
        inside: Any = connection
        inside._transport.write(bytes(64))
        await asyncio.wait_for(connection.wait_closed(), 30)
    await eventually(lambda: not house.listener._sessions.connections)
    assert not faults(caplog)
