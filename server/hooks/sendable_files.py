"""The tested file of each tenant, kept for an hour after its test.

Its owner may send it, unless the test failed. While no list was imported, other settings are tested on it.

Only the newest test of a tenant keeps its file. It does not count in `kept_bytes`, which would delete it, or the file
of an import for it. Which they are is known in memory only: a stop deletes them, and a start deletes the copies of
all dry runs that have ended.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from importer.archive import LOCAL, Archive, Stored
from importer.errors import TryAgain
from importer.folder import FolderOf
from importer.queue.allowed import is_tested
from importer.queue.entry import Entry

KEPT_S = 3600.0
"""How long a tested file is kept, in seconds after its test."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A copy that is kept. `found` says which file it is: a tenant that is added again counts from 1 again."""

    tenant: str
    copy: Path
    found: Stored
    timer: asyncio.TimerHandle


class SendableFiles:
    """The copies of tested files, by tenant. Use it in one event loop."""

    def __init__(self, folder_of: FolderOf, kept_s: float = KEPT_S, archive: Archive = LOCAL) -> None:
        self._folder_of = folder_of
        self._archive = archive
        self._kept_s = kept_s
        self._kept: dict[str, _Kept] = {}
        self._dropping: set[asyncio.Task[None]] = set()

    async def keep(self, entry: Entry) -> bool:
        """Keep the copy of an import that has just ended, if it is the test of a file.

        Returns whether it is kept. The copy of the test before it is deleted.
        """
        if not is_tested(entry):
            return False
        self.drop(entry.tenant)
        folder = self._folder_of(entry.tenant)
        copy = folder.copy(entry.id)
        try:
            found = await self._archive.find(folder, copy)
        except (OSError, TryAgain):
            return False
        if found is None:
            return False
        timer = asyncio.get_running_loop().call_later(self._kept_s, self.drop, entry.tenant)
        self._kept[entry.tenant] = _Kept(entry.tenant, copy, found, timer)
        return True

    def drop(self, tenant: str) -> None:
        """Delete the copy that is kept for `tenant`, if any."""
        kept = self._kept.pop(tenant, None)
        if kept:
            kept.timer.cancel()
            dropping = asyncio.get_running_loop().create_task(self._remove(kept), name=f"deleting {kept.copy.name}")
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)

    async def close(self) -> None:
        """Delete all copies that are kept, at a stop of the server."""
        kept, self._kept = [*self._kept.values()], {}
        for each in kept:
            each.timer.cancel()
            await self._remove(each)
        if self._dropping:
            await asyncio.wait([*self._dropping])

    async def _remove(self, kept: _Kept) -> None:
        """Remove a copy; one that cannot be removed now is removed by the next start."""
        with suppress(OSError, TryAgain):
            await self._archive.drop_if(self._folder_of(kept.tenant), kept.copy, kept.found)
