"""Compute how many connections and open files the descriptors of the process allow. Pure.

Some descriptors are reserved for HTTP, the databases, imports and the log. SFTP gets the rest: one half for
connections, one half for the files and folders that clients have open.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.descriptors import kept

PER_CONNECTION = 3
"""Descriptors of a connection: its socket, and two folders of its tenant if no other session has them open."""

PER_HANDLE = 2
"""Descriptors of a folder that is being listed; a file has one."""

MOST_CONNECTIONS = 5000
MOST_HANDSHAKES = 500
"""The caps without a setting. Beyond them, memory runs out before the descriptors do."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The caps. `descriptors`: the most that all open files and folders of clients take together."""

    connections: int
    handshakes: int
    tenant_handles: int
    descriptors: int

    @property
    def accepted_at_once(self) -> int:
        """Return how many sockets asyncio may accept before the first of them is counted."""
        return max(8, min(512, self.connections // 2))


def caps_of(limit: int, *, connections: int | None, handshakes: int | None, tenant_handles: int) -> Caps:
    """Return the caps of a process that may have `limit` descriptors open. The others are settings, None if not set.

    A setting is lowered if there are not enough descriptors for it.
    """
    half = max(PER_CONNECTION, (limit - kept(limit)) // 2)
    most = half // PER_CONNECTION
    allowed = min(MOST_CONNECTIONS if connections is None else connections, most)
    begun = min(MOST_HANDSHAKES, allowed // 2) if handshakes is None else handshakes
    return Caps(
        connections=allowed,
        handshakes=max(1, min(begun, allowed)),
        tenant_handles=max(1, min(tenant_handles, half // PER_HANDLE // 2)),
        descriptors=half,
    )
