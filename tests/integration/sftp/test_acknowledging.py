"""The server acknowledges TCP data at once until the login is complete, because some clients wait for that."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from server.sftp.wire import acknowledge_at_once
from tests.support.sftp import sftp_house
from tests.support.waiting import eventually

TURNS = 8
"""After so many questions and answers the kernel delays acknowledgments, because answers carry them."""


class Connection(asyncio.Protocol):
    """The part of the library's connection that matters here: it answers every message."""

    def __init__(self) -> None:
        self._auth_complete = False
        self.received = 0
        self.at_once = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes, datatype: None = None) -> None:
        self.received += 1
        if self.received <= TURNS:
            self._transport.write(data)

    @property
    def acknowledges_at_once(self) -> bool:
        sock = self._transport.get_extra_info("socket")
        return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))


async def conversation(*, logged_in: bool) -> Connection:
    """Return a connection after `TURNS` turns and one message without an answer."""
    made: list[Connection] = []

    def accepted() -> Connection:
        made.append(Connection())
        return made[-1]

    server = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(TURNS):
            writer.write(b"?")
            await reader.readexactly(1)
        connection = made[0]
        assert not connection.acknowledges_at_once
        acknowledge_at_once(connection)
        connection._auth_complete = logged_in
        writer.write(b"?")
        while connection.received == TURNS:
            await asyncio.sleep(0)
        connection.at_once = connection.acknowledges_at_once
        writer.close()
    return connection


async def test_data_before_the_login_is_acknowledged_at_once() -> None:
    assert (await conversation(logged_in=False)).at_once


async def test_data_after_the_login_is_acknowledged_when_the_kernel_decides() -> None:
    connection = await conversation(logged_in=True)
    assert not connection.at_once
    assert "data_received" not in vars(connection), "the check of each packet has ended"


async def test_a_connection_of_the_server_acknowledges_at_once_until_its_login(tmp_path: Path) -> None:
    async with sftp_house(tmp_path) as house:
        connections = house.listener._sessions.connections
        _, stranger = await asyncio.open_connection("127.0.0.1", house.port)
        await eventually(lambda: len(connections) == 1)
        assert "data_received" in vars(next(iter(connections))._conn)
        stranger.close()
        await eventually(lambda: not connections)
        async with house.client() as sftp:
            await sftp.getcwd()
            assert "data_received" not in vars(next(iter(connections))._conn)
