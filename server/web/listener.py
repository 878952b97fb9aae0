"""The HTTP server: uvicorn in the event loop of everything else, which alone decides about signals and the end."""

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
"""So many connections wait to be accepted, and are at one go: those too many are closed before there are more."""

CLOSE_S = 2.0
"""Answers under way when the server stops have so long; then whoever waits for one is hung up on."""

GIVE_UP_S = 10
"""What does not end when there is nobody left to answer is left alone after so long."""


class WebListener:
    """Listens between `start()` and `close()`.

    `trusted` proxies are believed who is behind them, and whether they came by HTTPS: nobody else is.
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
        """Listen; returns the address and port. Raises OSError if that can't be had."""
        listening = _listening(*self._where)
        self._task = asyncio.create_task(self._server.serve([listening]), name="http")
        host, port = listening.getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Returns when all answers have ended, so that nobody works on what is closed afterwards."""
        self._server.should_exit = True
        if self._task:
            await asyncio.wait([self._task], timeout=CLOSE_S)
            self._server.hang_up()
            await self._task


def default_caps(connections: int | None = None, streams: int = STREAMS) -> Caps:
    """Return the caps of this process. A number of connections that its descriptors do not last for is logged."""
    caps = caps_for(connections, streams, descriptor_limit())
    for sentence in lowered({"max_http_connections": connections}, {"max_http_connections": caps.connections}):
        log.warning("%s", sentence, extra={"event": "fence_lowered"})
    return caps


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are not ours to take."""
        yield

    def hang_up(self) -> None:
        """End all connections: to whoever answers it is as if the other side had gone."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _listening(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    # Whoever is accepted has it too: an answer is written in two pieces, and the second must not wait until the first
    # is acknowledged, which clients put off by 40 ms. (asyncio sees to that only where a socket names its protocol.)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
