"""Messages to clients at the limits of docs/operating.md that no other test checks."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from server.sftp import entrance
from tests.support.keypairs import public_line
from tests.support.sftp import HOST, SftpHouse, sftp_house
from tests.support.waiting import eventually


async def test_an_idle_client_is_disconnected_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "asyncssh")
    async with sftp_house(tmp_path, idle_timeout_s=0.2) as house, house.connect() as connection:
        await asyncio.wait_for(connection.wait_closed(), 30)
    assert "Received disconnect: Idle for more than" in caplog.text


async def test_a_client_that_does_not_answer_keepalives_is_disconnected(tmp_path: Path) -> None:
    settings = {"keepalive_s": 0.1, "keepalive_misses": 2, "idle_timeout_s": 0}
    async with sftp_house(tmp_path, **settings) as house, house.connect() as connection:
        await eventually(lambda: house.metrics.sessions == 1)
        inside: Any = connection
        inside._transport.pause_reading()
        await eventually(lambda: not house.listener._sessions.connections, what="the server to end the connection")
        assert house.metrics.sessions == 0
        inside._transport.abort()


async def test_connections_without_a_login_are_limited_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "SLOW_LOGIN_S", math.inf)  # a slow machine gives the place of none to another
    async with sftp_house(tmp_path, max_handshakes=3) as house, AsyncExitStack() as stack:
        for number in range(3):
            assert await _greeted(stack, house, f"127.0.6.{1 + number}")
        refused, _ = await _stranger(stack, house, "127.0.6.9")
        assert b"The server cannot accept a login now. Try again later." in await _all(refused)


async def test_the_address_with_the_most_connections_loses_one(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_handshakes=3) as house, AsyncExitStack() as stack:
        crowd = [await _greeted(stack, house, "127.0.6.1") for _ in range(3)]
        assert await _greeted(stack, house, "127.0.6.9")
        assert b"The server cannot accept a login now. Try again later." in await _all(crowd[0])


async def test_open_files_of_all_tenants_are_limited_by_the_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "descriptor_limit", lambda: 64)
    async with sftp_house(tmp_path) as house, AsyncExitStack() as stack:
        caps = house.listener._sessions.entrance.caps
        for name in ("globex", "umbrella"):
            await house.tenants.add(name, [public_line()])
        clients = [
            await stack.enter_async_context(house.client(username=name)) for name in ("acme", "globex", "umbrella")
        ]
        for client in clients[:2]:
            for _ in range(caps.tenant_handles):
                await client._handler.opendir(b"/")
        with pytest.raises(asyncssh.SFTPFailure, match="Too many open files on the server"):
            await clients[2]._handler.opendir(b"/")


@pytest.mark.logs("sessions_cut")
async def test_a_session_that_does_not_end_in_time_is_canceled_at_a_stop(house: SftpHouse) -> None:
    house.real.may_arrive.clear()
    async with house.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        closing = asyncio.ensure_future(file.close())
        await house.real.arrived.wait()
        await asyncio.wait_for(house.listener.close(0), 30)
        with pytest.raises((asyncssh.Error, OSError)):
            await closing
    assert house.visible is None


async def _stranger(
    stack: AsyncExitStack, house: SftpHouse, source: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(source, 0))
    stack.callback(writer.close)
    return reader, writer


async def _greeted(stack: AsyncExitStack, house: SftpHouse, source: str) -> asyncio.StreamReader:
    reader, _ = await _stranger(stack, house, source)
    assert await reader.readline() == b"SSH-2.0-Headcount\r\n"
    return reader


async def _all(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    with suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(65536), 30):
            heard += data
    return heard
