"""Let only so many callers of each kind in at once: accepts of a tenant, or processes of a hook."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Gates:
    """Let at most `most` callers of each key in at once, in order. A key without callers takes no memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._gates: dict[Hashable, asyncio.Semaphore] = {}
        self._callers: defaultdict[Hashable, int] = defaultdict(int)

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until fewer than `most` callers of `key` are in such a block, then enter it."""
        self._callers[key] += 1
        try:
            async with self._gates.setdefault(key, asyncio.Semaphore(self._most)):
                yield
        finally:
            self._callers[key] -= 1
            if not self._callers[key]:
                del self._callers[key], self._gates[key]

    def __len__(self) -> int:
        return len(self._callers)
