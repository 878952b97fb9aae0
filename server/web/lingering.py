"""Close a connection whose client may still be sending: what it sends is read and dropped, for a while.

Closing a socket with unread data resets the connection, and the client may lose the answer (a 400, a 413). So the
server closes its own side only and reads on, within bounds. The connection counts in the crowd until it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LINGER_S = 5.0
LINGER_BYTES = 8 * 1024**2


class Lingering:
    """An asyncio transport whose `close()` lingers if the client `may_send` more. A second call closes it."""

    def __init__(self, transport: asyncio.Transport, may_send: Callable[[], bool]) -> None:
        self._transport = transport
        self._may_send = may_send
        self._left = LINGER_BYTES
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Return whether incoming data must be dropped."""
        return self._timer is not None

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self.lingers:
            self._transport.write(data)

    def close(self) -> None:
        if self.is_closing() or not self._may_send():
            self._transport.close()
            return
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)
        try:
            self._transport.write_eof()
        except OSError:  # the client has reset the connection, and the event loop does not know yet
            self._transport.close()
        else:
            self._transport.resume_reading()

    def drop(self, count: int) -> None:
        """Count `count` dropped bytes. Above LINGER_BYTES, read no more: a proxy that cannot send then reads."""
        self._left -= count
        if self._left < 0:
            self._transport.pause_reading()

    def ended(self) -> None:
        """Stop the timer of a connection that is lost."""
        if self._timer:
            self._timer.cancel()
