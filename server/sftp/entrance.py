"""Which connections may begin, and how much all of them may hold open."""

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


DAWDLES_S = 5.0
"""A login takes a second. After so long a client loses its place where another needs one."""


class Client(Protocol):
    """A connection, as far as it matters here."""

    @property
    def since(self) -> float:
        """When it came, on the monotonic clock."""

    def begins_from(self, source: str | None) -> bool:
        """Whether it comes from `source` (None: from anywhere) and has not logged in."""

    def turn_away(self) -> None:
        """End it before its login."""


LINGER_S = 0.2
"""So long the socket of a client that was turned away stays open, that the reason arrives."""


class Entrance:
    """The caps of this process, and what is counted against them."""

    def __init__(self, settings: ServerSettings) -> None:
        self.caps = caps_of(
            descriptor_limit(),
            connections=settings.max_connections,
            handshakes=settings.max_handshakes,
            tenant_handles=settings.max_tenant_handles,
        )
        self.handshakes = Handshakes(settings.max_handshakes_per_address, self.caps.handshakes)
        self.handles = Handles(settings.max_handles, self.caps.tenant_handles, self.caps.descriptors)
        self._turned_away = Seldom()
        self._lingering: set[Corked] = set()
        for sentence in lowered(settings.chosen(), self._allowed()):
            log.warning("%s", sentence, extra={"event": "fence_lowered"})

    def _allowed(self) -> dict[str, int]:
        """What each setting comes to, by its name."""
        return {
            "max_connections": self.caps.connections,
            "max_handshakes": self.caps.handshakes,
            "max_tenant_handles": self.caps.tenant_handles,
            "max_handles": self.caps.tenant_handles,
        }

    def has_room(self, clients: Collection[Client]) -> bool:
        """Return whether the process has descriptors for one more connection beside `clients`."""
        return len(clients) < self.caps.connections

    def admit(self, address: Address, clients: Collection[Client]) -> bool:
        """Whether a client at `address` may begin to log in beside `clients`, the oldest first.

        It is counted then. It is logged if it may not.
        """
        if not self.handshakes.full_of(address):
            slow = self._gives_way(address, clients)
            if slow is not None:
                slow.turn_away()
            if (slow is not None or self.has_room(clients)) and self.handshakes.enter(address):
                return True
        if times := self._turned_away.again(time.monotonic()):
            log.warning(
                "Too many connections, or too many without a login; %s was turned away.",
                *(address,),
                extra={"event": "handshake_cap", "times": times},
            )
        return False

    def _gives_way(self, address: Address, clients: Collection[Client]) -> Client | None:
        """The client whose place `address` gets where none is free: the oldest of a crowd, or one that dawdles."""
        if self.has_room(clients) and not self.handshakes.full:
            return None
        crowd = self.handshakes.gives_way(address)
        for each in clients:
            if each.begins_from(crowd):
                return each if crowd or time.monotonic() - each.since > DAWDLES_S else None
        return None

    def see_out(self, transport: Corked) -> None:
        """Let the last words to a client arrive before its socket is closed, unless many are on their way out."""
        if len(self._lingering) < self.caps.accepted_at_once:
            self._lingering.add(transport)
            transport.linger(LINGER_S, self._lingering.discard)

    def close(self) -> None:
        """Wait for none of them any longer."""
        for transport in list(self._lingering):
            transport.leave()
