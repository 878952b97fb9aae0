"""Ports for programs that must be told theirs before they listen."""

from __future__ import annotations

import socket
from contextlib import suppress
from secrets import randbelow

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a free port below those that Linux gives out, so that no other program gets it before it is used.

    So it also stays free while the program is started again.
    """
    while True:
        port = 20_000 + randbelow(12_000)
        with socket.socket() as found, suppress(OSError):
            found.bind((HOST, port))
            return port


def free_ports(number: int) -> list[int]:
    """Return so many of these."""
    found: set[int] = set()
    while len(found) < number:
        found.add(free_port())
    return [*found]
