"""The front: before the SSH handshake, read the PROXY header of load balancers and check bans.

asyncssh can listen through a tunnel: an object whose `create_server` gets a factory of connections. `Front` is such
an object on an ordinary port. It passes a connection on when the client's address is known and not banned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from ground.addresses import Address, Network, plain
from server.seldom import Seldom
from server.sftp.bans.gate import Gate
from server.sftp.proxy_header import HeaderBroken, parse_header

log = logging.getLogger(__name__)

ACCEPTED_AT = "headcount_accepted_at"
"""Extra information of a connection: the time at which it was accepted, in seconds of the event loop's clock."""

Factory = Callable[[str, int], asyncio.Protocol]


class Front:
    """Accepts connections. A PROXY header is read only from `balancers`, and must come within `grace_s` seconds."""

    def __init__(self, gate: Gate, balancers: tuple[Network, ...], grace_s: float, backlog: int) -> None:
        self.gate = gate
        self.grace_s = grace_s
        self._balancers = balancers
        self._backlog = backlog
        self.refused = Seldom()

    async def create_server(self, session_factory: Factory, listen_host: str, listen_port: int) -> asyncio.Server:
        """Listen. `asyncssh.listen` calls this, and makes its connections with `session_factory`."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: _Arrival(self, session_factory), listen_host, listen_port, backlog=self._backlog
        )

    def believes(self, address: Address) -> bool:
        """Return whether `address` is that of a load balancer, which sends its client's address."""
        return any(plain(address) in network for network in self._balancers)


class _Arrival(asyncio.Protocol):
    """One connection until it is passed on or closed."""

    def __init__(self, front: Front, factory: Factory) -> None:
        self._front = front
        self._factory = factory
        self._received = b""
        self._patience: asyncio.TimerHandle | None = None
        self._balancer: Address | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._accepted_at = self._loop.time()
        peer = transport.get_extra_info("peername")
        if not peer:  # the client has disconnected
            self._transport.abort()
            return
        address = ip_address(peer[0])
        if self._front.believes(address):
            self._balancer = address
            self._patience = self._loop.call_later(
                self._front.grace_s, self._refuse, "it sent no complete PROXY header in time"
            )
        else:
            self._let_in(address, self._transport)

    def data_received(self, data: bytes) -> None:
        if self._balancer is None:
            return
        self._received += data
        try:
            header = parse_header(self._received)
        except HeaderBroken as error:
            self._refuse(str(error))
            return
        if header is None:
            return
        port = self._transport.get_extra_info("peername")[1]
        self._end_wait()
        if header.client is None:
            self._transport.abort()
            return
        known = Forwarded(self._transport, header.client, port, self._accepted_at)
        connection = self._let_in(header.client, known)
        if connection is not None and (rest := self._received[header.size :]) and not self._transport.is_closing():
            connection.data_received(rest)

    def eof_received(self) -> None:
        self._refuse("it sent no complete PROXY header")

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("it sent no complete PROXY header")

    def _let_in(self, address: Address, transport: Any) -> asyncio.Protocol | None:
        if not self._front.gate.admits(address):
            self._transport.abort()
            return None
        connection = self._factory("", 0)
        self._transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection

    def _refuse(self, why: str) -> None:
        """Close a connection whose balancer did not send its client's address. Does nothing a second time."""
        if self._balancer is not None:
            if times := self._front.refused.again(self._loop.time()):
                log.warning(
                    "A connection of load balancer %s was closed: %s.",
                    *(self._balancer, why),
                    extra={"event": "proxy_header_refused", "times": times},
                )
            self._end_wait()
            self._transport.abort()

    def _end_wait(self) -> None:
        self._balancer = None
        if self._patience is not None:
            self._patience.cancel()


class Forwarded:
    """The transport of a load balancer, with the address of its client as the peer."""

    def __init__(self, transport: asyncio.Transport, client: Address, port: int, accepted_at: float) -> None:
        self._transport = transport
        self._facts = {"peername": (str(client), port), ACCEPTED_AT: accepted_at}

    @property
    def max_size(self) -> int:
        """How many bytes are read at once, as in asyncio's transport."""
        return cast(int, cast(Any, self._transport).max_size)

    @max_size.setter
    def max_size(self, most: int) -> None:
        cast(Any, self._transport).max_size = most

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._facts.get(name) or self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
