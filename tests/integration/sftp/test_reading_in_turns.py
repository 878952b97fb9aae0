"""The internals of asyncio and aiosqlite on which a shared event loop depends have not changed."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import selector_events
from typing import Any

import aiosqlite
import pytest

from server.sftp.wire import Corked

pytestmark = pytest.mark.only_on("sqlite", "it is about the engine itself")


class Reader(asyncio.Protocol):
    """Records how many bytes each call delivers."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.whole = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Corked(transport).read_at_once(1024)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        self.came.append(len(data))
        if sum(self.came) == 10 * 1024:
            self.whole.set()


async def test_a_connection_is_read_in_steps_of_at_most_the_given_bytes() -> None:
    reader = Reader()
    server = await asyncio.get_running_loop().create_server(lambda: reader, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(host, port)
        writer.write(bytes(10 * 1024))
        await asyncio.wait_for(reader.whole.wait(), 10)
        writer.close()
        await writer.wait_closed()
    assert max(reader.came) <= 1024


def test_the_thread_of_a_database_takes_work_as_its_methods_queue_it() -> None:
    inside: Any = aiosqlite.Connection
    asked = inspect.getsource(inside._execute)
    assert "self._tx.put_nowait((future, function))" in asked
    assert "if not self._running or not self._connection:" in asked
    done = inspect.getsource(inspect.getmodule(inside)._connection_worker_thread)  # type: ignore[union-attr]
    assert "future, function = tx.get()" in done
    assert "if future:" in done
    assert "max_size" in inspect.getsource(selector_events._SelectorSocketTransport)  # type: ignore[attr-defined]
