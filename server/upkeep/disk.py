"""Disk usage of tenants: measured one by one, and kept for a minute.

A caller does not wait for a measurement: it gets what is known. A tenant that was never measured is left out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from importer.errors import DatabaseFault, ImporterError

log = logging.getLogger(__name__)

AGE_S = 60.0
WAIT_S = 0.2
"""The longest time in seconds that a caller waits for measurements that are due."""


class DiskUsage:
    """The disk usage of tenants. `bytes_of` measures one."""

    def __init__(self, bytes_of: Callable[[str], Awaitable[int]]) -> None:
        self._bytes_of = bytes_of
        self._known: dict[str, tuple[float, int]] = {}
        self._measuring: asyncio.Task[None] | None = None

    async def usage(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the bytes on disk of each measured tenant, and begin to measure those older than a minute."""
        self._known = {name: found for name, found in self._known.items() if name in tenants}
        due = [name for name in tenants if time.monotonic() - self._known.get(name, (-AGE_S, 0))[0] >= AGE_S]
        if due and (self._measuring is None or self._measuring.done()):
            self._measuring = asyncio.create_task(self._measure(due), name="disk")
        if self._measuring:
            await asyncio.wait([self._measuring], timeout=WAIT_S)
        return {name: size for name, (_, size) in self._known.items()}

    async def close(self) -> None:
        """End the measuring."""
        if self._measuring:
            self._measuring.cancel()
            await asyncio.wait([self._measuring])

    async def _measure(self, due: list[str]) -> None:
        for name in due:
            try:
                self._known[name] = (time.monotonic(), await self._bytes_of(name))
            except (OSError, ImporterError, DatabaseFault) as error:
                log.debug("The disk usage of %s cannot be measured: %s; retrying.", name, error)
