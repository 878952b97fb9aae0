"""The entrance: decides which connections may begin to log in, and counts what all of them have open."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from typing import Protocol

from ground.addresses import Address
from server.descriptors import lowered
from server.process import descriptor_limit
from server.seldom import Seldom
from server.settings import ServerSettings
from server.sftp.caps import caps_of
from server.sftp.handles import Handles
from server.sftp.handshakes import Handshakes
from server.sftp.wire import Corked

log = logging.getLogger(__name__)


SLOW_LOGIN_S = 5.0
"""A login takes about a second. A client that needs longer than this loses its place if another client needs it."""


class Client(Protocol):
    """The part of a connection that the entrance uses."""

    @property
    def since(self) -> float:
        """When it connected, on the monotonic clock."""

    def begins_from(self, source: str | None) -> bool:
        """Return whether it comes from `source` (None: any source) and has not logged in."""

    def refuse(self) -> None:
        """End the connection before its login."""


LINGER_S = 0.2
"""The socket of a refused client stays open for this long, so that the reason arrives."""


class Entrance:
    """The caps of this process, and the counts against them."""

    def __init__(self, settings: ServerSettings) -> None:
        self.caps = caps_of(
            descriptor_limit(),
            connections=settings.max_connections,
            handshakes=settings.max_handshakes,
            tenant_handles=settings.max_tenant_handles,
        )
        self.handshakes = Handshakes(settings.max_handshakes_per_address, self.caps.handshakes)
        self.handles = Handles(settings.max_handles, self.caps.tenant_handles, self.caps.descriptors)
        self._refusals = Seldom()
        self._lingering: set[Corked] = set()
        for sentence in lowered(settings.chosen(), self._allowed()):
            log.warning("%s", sentence, extra={"event": "fence_lowered"})

    def _allowed(self) -> dict[str, int]:
        """Return the cap of each setting, by the name of the setting."""
        return {
            "max_connections": self.caps.connections,
            "max_handshakes": self.caps.handshakes,
            "max_tenant_handles": self.caps.tenant_handles,
            "max_handles": self.caps.tenant_handles,
        }

    def has_room(self, clients: Collection[Client]) -> bool:
        """Return whether the process has descriptors for one more connection besides `clients`."""
        return len(clients) < self.caps.connections

    def admit(self, address: Address, clients: Collection[Client]) -> bool:
        """Return whether a client at `address` may begin to log in besides `clients`, which are in order of age.

        If it may, it is counted; if not, this is logged. The caller closes its connection.
        """
        if not self.handshakes.full_of(address):
            slow = self._gives_way(address, clients)
            if slow is not None:
                slow.refuse()
            if (slow is not None or self.has_room(clients)) and self.handshakes.enter(address):
                return True
        if times := self._refusals.again(time.monotonic()):
            log.warning(
                "A connection from %s was refused: too many connections, or too many without a login.",
                *(address,),
                extra={"event": "handshake_cap", "times": times},
            )
        return False

    def _gives_way(self, address: Address, clients: Collection[Client]) -> Client | None:
        """Return the client that loses its place to `address` if none is free; None if there is none to end.

        It is the oldest of a source with many connections, or the oldest if that is slow to log in.
        """
        if self.has_room(clients) and not self.handshakes.full:
            return None
        crowd = self.handshakes.gives_way(address)
        for each in clients:
            if each.begins_from(crowd):
                return each if crowd or time.monotonic() - each.since > SLOW_LOGIN_S else None
        return None

    def close_after_reason(self, transport: Corked) -> None:
        """Keep a refused client's socket open until the reason has arrived, unless many such sockets are open."""
        if len(self._lingering) < self.caps.accepted_at_once:
            self._lingering.add(transport)
            transport.linger(LINGER_S, self._lingering.discard)

    def close(self) -> None:
        """Close the sockets of refused clients at once."""
        for transport in list(self._lingering):
            transport.leave()
