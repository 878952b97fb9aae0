"""The log of exceptions that no part of the server caught, with one line a second at most.

The event loop reports a failed accept once for each pending connection, hundreds of times a second.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Any

from server.seldom import Seldom

log = logging.getLogger(__name__)

SHORTAGES = {
    errno.EMFILE: "The process has reached its limit of open files and connections (ulimit -n)",
    errno.ENFILE: "The machine has reached its limit of open files",
    errno.ENOMEM: "The machine is out of memory",
    errno.ENOBUFS: "The machine is out of memory for connections",
}


def shortage(error: object) -> str | None:
    """Return which resource ran out, as a sentence without full stop; None for any other error."""
    if isinstance(error, MemoryError):
        return SHORTAGES[errno.ENOMEM]
    return SHORTAGES.get(error.errno or 0) if isinstance(error, OSError) else None


class Faults:
    """The exception handler of an event loop."""

    def __init__(self) -> None:
        self._shortages = Seldom()
        self._others = Seldom()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle the uncaught exceptions of `loop` from now on."""
        loop.set_exception_handler(self.failed)

    def failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log the error in `context`, unless one of its kind was logged within a second."""
        error, now = context.get("exception"), time.monotonic()
        reason = shortage(error)
        if reason is not None:
            if times := self._shortages.again(now):
                log.error("%s: new connections wait; retrying.", reason, extra={"event": "shortage", "times": times})
        elif times := self._others.again(now):
            log.error(
                "The server failed outside of any request: %s",
                context.get("message"),
                exc_info=error if isinstance(error, BaseException) else None,
                extra={"event": "loop_fault", "times": times},
            )
