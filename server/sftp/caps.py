"""How many connections and open files the descriptors of the process allow. Pure.

A part of the descriptors is kept for HTTP, the databases, imports and the log. SFTP has the rest: one half for
connections, one half for the files and folders that clients hold open.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.descriptors import kept

PER_CONNECTION = 3
"""Descriptors of a connection: its socket, and the two folders of its tenant where no other session has them open."""

PER_HANDLE = 2
"""Descriptors of a folder that is listed; a file has one."""

MOST_CONNECTIONS = 5000
MOST_HANDSHAKES = 500
"""Without a setting no more than these: beyond them memory runs out before the descriptors do."""


@dataclass(frozen=True, slots=True)
class Caps:
    """`descriptors` is what all open files and folders of clients may take together."""

    connections: int
    handshakes: int
    tenant_handles: int
    descriptors: int

    @property
    def accepted_at_once(self) -> int:
        """Sockets taken from the kernel before the first of them is counted."""
        return max(8, min(512, self.connections // 2))


def caps_of(limit: int, *, connections: int | None, handshakes: int | None, tenant_handles: int) -> Caps:
    """Return the caps of a process that may have `limit` descriptors open; the others are settings, None where unset.

    A setting is lowered where the descriptors do not last for it.
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
