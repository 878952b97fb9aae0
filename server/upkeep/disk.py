"""Disk usage of the folders of tenants: measured one by one in a thread, and kept for a minute.

A caller does not wait for a measurement: it gets what is known. A tenant that was never measured is left out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

AGE_S = 60.0
WAIT_S = 0.2
"""The longest time in seconds that a caller waits for measurements that are due."""

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the block size of the disk."""


class DiskUsage:
    """The disk usage of tenants. `root_of` returns the folder of a tenant."""

    def __init__(self, root_of: Callable[[str], Path]) -> None:
        self._root_of = root_of
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
                size = await asyncio.to_thread(bytes_below, self._root_of(name))
                self._known[name] = (time.monotonic(), size)
            except OSError as error:
                log.debug("The disk usage of %s cannot be measured: %s; retrying.", name, error)


def bytes_below(root: Path) -> int:
    """Return the bytes on disk of the folder at `root` and everything in it. Blocks.

    A file with several names counts once. Symbolic links are not followed. Files deleted meanwhile are not counted.
    """
    total, seen, folders = 0, set[tuple[int, int]](), [str(root)]
    while folders:
        for path, found in _entries(folders.pop()):
            if stat.S_ISDIR(found.st_mode):
                folders.append(path)
            elif found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * BLOCK_BYTES
    return total


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False)
