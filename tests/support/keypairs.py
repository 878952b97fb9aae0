"""Key pairs for tests, each made once in a run."""

from __future__ import annotations

from functools import cache
from typing import Any

import asyncssh


@cache
def _keypair(algorithm: str, number: int, options: frozenset[tuple[str, Any]]) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(algorithm, comment=f"key {number}", **dict(options))


def keypair(algorithm: str = "ssh-ed25519", number: int = 0, **options: Any) -> asyncssh.SSHKey:
    """Return the private key `number` of this algorithm; it stays the same for the whole run."""
    return _keypair(algorithm, number, frozenset(options.items()))


def public_line(algorithm: str = "ssh-ed25519", number: int = 0, **options: Any) -> str:
    """Return the line of the key's .pub file."""
    return keypair(algorithm, number, **options).export_public_key("openssh").decode().strip()


def blob(algorithm: str = "ssh-ed25519", number: int = 0, **options: Any) -> bytes:
    """Return the public half of the key in the SSH wire format."""
    return keypair(algorithm, number, **options).public_data
