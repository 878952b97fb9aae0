"""A connection that is closed although its client may still send, with real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct

from server.web.lingering import Lingering

RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket that resets its connection when it is closed."""


async def test_a_client_that_has_reset_its_connection_causes_no_error() -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.set_result(None)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(Protocol, accepted)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        client.close()  # the event loop has no time to see it
        Lingering(transport, lambda: True).close()
        assert transport.is_closing()
        await lost
