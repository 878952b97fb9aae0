"""The server acknowledges TCP data at once until the login is complete, because some clients wait for that."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from server.sftp.wire import acknowledge_at_once
from tests.support.sftp import sftp_house
from tests.support.waiting import eventually


class Asked:
    """The socket of a connection, and what it was asked to do."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]
        self._sock.setsockopt(*option)

    @property
    def acknowledges_at_once(self) -> bool:
        return bool(self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK))


class Connection(asyncio.Protocol):
    """The part of the library's connection that matters here: it answers every message but the last one."""

    def __init__(self) -> None:
        self._auth_complete = False
        self._transport: Any = self
        self.answers = True
        self.ended = self.at_once = False

    def connection_made(self, transport: Any) -> None:
        self.socket = Asked(transport.get_extra_info("socket"))
        self.write = transport.write

    def get_extra_info(self, name: str) -> object:
        return {"socket": self.socket}[name]

    def data_received(self, data: bytes, datatype: None = None) -> None:
        self.ended = not self.answers
        if self.answers:
            self.write(data)


async def conversation(*, logged_in: bool) -> Connection:
    """Return a connection after questions with answers and one message without an answer."""
    made: list[Connection] = []

    def accepted() -> Connection:
        made.append(Connection())
        return made[-1]

    server = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def delays() -> bool:
            """Ask once more. Soon the kernel delays acknowledgments, because answers that come at once carry them."""
            writer.write(b"?")
            await reader.readexactly(1)
            return not made[0].socket.acknowledges_at_once

        await eventually(delays, what="the kernel to delay acknowledgments")
        connection = made[0]
        acknowledge_at_once(connection)
        connection._auth_complete, connection.answers = logged_in, False
        writer.write(b"?")
        while not connection.ended:
            await asyncio.sleep(0)
        connection.at_once = connection.socket.acknowledges_at_once
        writer.close()
    return connection


async def test_data_before_the_login_is_acknowledged_at_once() -> None:
    connection = await conversation(logged_in=False)
    assert connection.socket.options == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)]
    assert connection.at_once


async def test_data_after_the_login_is_acknowledged_when_the_kernel_decides() -> None:
    connection = await conversation(logged_in=True)
    assert connection.socket.options == []
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
