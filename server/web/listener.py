"""The HTTP listener: uvicorn in the server's event loop. The server handles signals and ends it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from ground.addresses import Network
from server.descriptors import lowered
from server.process import descriptor_limit
from server.web.crowd import STREAMS, Caps, caps_for
from server.web.door import Door
from server.web.slow_clients import PatientProtocol

log = logging.getLogger(__name__)

BACKLOG = 128
"""The connections that wait to be accepted, and are accepted at once. Those above the cap close before the next."""

CLOSE_S = 2.0
"""The time that answers get to end when the server stops. Then their connections are closed."""

GIVE_UP_S = 10
"""The time that requests get to end after their connections are closed."""


class WebListener:
    """Listens between `start()` and `close()`.

    Only `trusted` proxies may set the client's address, and whether it uses HTTPS.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, trusted: Iterable[Network] = (), caps: Caps | None = None
    ) -> None:
        self._where = (host, port)
        trusted = tuple(trusted)
        door = Door(app, caps or default_caps(), trusted)
        config = uvicorn.Config(
            door,
            # uvicorn only calls it, as it would call the class
            http=partial(PatientProtocol, door=door),  # type: ignore[arg-type]
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=[str(network) for network in trusted],
            lifespan="off",
            backlog=BACKLOG,
            timeout_graceful_shutdown=GIVE_UP_S,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> tuple[str, int]:
        """Listen and return the address and port. Raises OSError if the address cannot be used."""
        listening = _listening(*self._where)
        self._task = asyncio.create_task(self._server.serve([listening]), name="http")
        host, port = listening.getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Stop, and return when all answers have ended: the caller may then close what they used."""
        self._server.should_exit = True
        if self._task:
            await asyncio.wait([self._task], timeout=CLOSE_S)
            self._server.hang_up()
            await self._task


def default_caps(connections: int | None = None, streams: int = STREAMS) -> Caps:
    """Return the caps of this process. Log a warning if its descriptors do not allow so many connections."""
    caps = caps_for(connections, streams, descriptor_limit())
    for sentence in lowered({"max_http_connections": connections}, {"max_http_connections": caps.connections}):
        log.warning("%s", sentence, extra={"event": "fence_lowered"})
    return caps


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the server."""
        yield

    def hang_up(self) -> None:
        """Abort all connections: to a route it looks as if the client had disconnected."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    # Accepted sockets inherit this. An answer is written in two pieces; without TCP_NODELAY the second waits for the
    # acknowledgment of the first, which clients delay by 40 ms. (asyncio sets it only on sockets that name TCP.)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
