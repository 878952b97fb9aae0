"""RSA host keys that cost no time: this process makes one, and tests none for prime numbers.

Making one takes up to some seconds. Reading one takes a quarter of a second, at each start of a server and each look
of the doctor.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import asyncssh

from keys.host import RSA_BITS

_make = asyncssh.generate_private_key


def save_time_on_rsa() -> None:
    """Let this process and its forks do so."""
    asyncssh.generate_private_key = _made
    asyncssh.set_default_skip_rsa_key_validation(True)


@cache
def host_key() -> asyncssh.SSHKey:
    """Return the one RSA host key."""
    return _make("ssh-rsa", key_size=RSA_BITS)


def _made(kind: str, *arguments: Any, **options: Any) -> asyncssh.SSHKey:
    ours = (kind, arguments, options) == ("ssh-rsa", (), {"key_size": RSA_BITS})
    return host_key() if ours else _make(kind, *arguments, **options)
