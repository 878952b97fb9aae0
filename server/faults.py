"""What no part of the server has caught: said in the log, once a second at most.

asyncio reports a failed accept once for each connection that may wait, hundreds of times a second.
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
    errno.EMFILE: "The process has as many files and connections open as it may",
    errno.ENFILE: "The machine has as many files open as it may",
    errno.ENOMEM: "Memory has run out",
    errno.ENOBUFS: "Memory for connections has run out",
}


def shortage(error: object) -> str | None:
    """Return what ran out, as a sentence; None for an error that says nothing of the kind."""
    if isinstance(error, MemoryError):
        return SHORTAGES[errno.ENOMEM]
    return SHORTAGES.get(error.errno or 0) if isinstance(error, OSError) else None


class Faults:
    """An exception handler of an event loop."""

    def __init__(self) -> None:
        self._shortages = Seldom()
        self._others = Seldom()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be asked for whatever fails in `loop` from now on."""
        loop.set_exception_handler(self.failed)

    def failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, now = context.get("exception"), time.monotonic()
        reason = shortage(error)
        if reason is not None:
            if times := self._shortages.again(now):
                log.error("%s; new connections wait, retrying.", reason, extra={"event": "shortage", "times": times})
        elif times := self._others.again(now):
            log.error(
                "Internal error outside of any request: %s",
                context.get("message"),
                exc_info=error if isinstance(error, BaseException) else None,
                extra={"event": "loop_fault", "times": times},
            )
