"""The files of one tenant in the database, as all its sessions in this process share them."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.shared.files import Entry, FileStore, Names, Place, Taken
from ground.afterwards import Act, do_all, putting_off
from ground.threads import finish
from importer.folder import TenantFolder
from server.files.base import House
from server.files.ending import Endings
from server.files.hooks import HookView, Record
from server.files.limits import Usage
from server.files.paths import RESULTS, TEST, ClientPath, is_fixed
from server.files.shared.reaching import reaching
from server.files.shared.spool import Spooled
from server.files.shared.windows import Windows

LONGEST_NAME = 255
FOLDERS: tuple[tuple[bytes, ...], ...] = ((RESULTS,), (TEST,))
"""The folders that the server makes for every tenant."""

MANY_COPIES_AGE_S = 0.5
"""More waiting copies than a few are added up again only after this time: thousands of runs of a hook may wait."""

Identity = Callable[[str], int | None]
"""Return the id of the tenant that has this name now, without waiting; None if none has it. Raises TryAgain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedHouse(House):
    """The parts that all tenants share."""

    store: FileStore
    identity: Identity
    windows: Windows
    longest_read: int


class SharedUsage(Usage):
    """A running total: what the database counts, and the unfinished uploads of this process."""

    def __init__(self) -> None:
        super().__init__()
        self._stored = Taken(0, 0, 0)

    def store(self, taken: Taken) -> None:
        """Take what the database counts now in place of what it counted before."""
        self.size += taken.size - self._stored.size
        self.files += taken.files - self._stored.files
        self.waiting = taken.waiting
        self._stored = taken


class Space(Endings):
    """The names and the running total of one tenant. `SharedFiles` has the operations on them."""

    house: SharedHouse

    def __init__(self, tenant: str, root: Path, house: SharedHouse) -> None:
        """Raises OSError if there is no such tenant. `root`: its folder in the scratch folder of this process."""
        super().__init__(tenant, house)
        with reaching():
            number = house.identity(tenant)
        if number is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.store = house.store
        self.names: Names = self.store.names.of(tenant, number)
        self._number = number
        self._root = root
        self._staging = TenantFolder(root).staging
        self._staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.staging = os.open(self._staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.usage = SharedUsage()
        self.drafts: set[Spooled] = set()
        self.offered: list[int] = []
        """The contents of files on whose rename a hook decides. They count although they may lose their names."""
        self._one_change = asyncio.Lock()
        self._changes = 0
        self._counted: tuple[float, Taken] | None = None
        """The newest count, and when all copies were last added up for it (monotonic seconds)."""
        self._view: HookView | None = None
        self._fixed: frozenset[tuple[bytes, ...]] = frozenset(FOLDERS)

    @property
    def number(self) -> int:
        """The id of the tenant in the database."""
        return self._number

    @property
    def removed(self) -> bool:
        """Return whether the tenant was removed, as far as is known without a wait. `changing` asks again."""
        with suppress(Exception):
            return self.house.identity(self.tenant) != self._number
        return False

    def enter(self) -> None:
        """Count one more session; it must call `leave` once. Folders with a file in their place are tried again."""
        super().enter()
        if self._view is not None and not self._fixed.issuperset((*FOLDERS, *self._view.fixed)):
            self._view = None

    def is_at(self, root: Path) -> bool:
        """Return whether the tenant of the folder `root` is the one of these files."""
        with reaching():
            return self.house.identity(root.name) == self._number

    def is_fixed(self, path: ClientPath) -> bool:
        """Return whether the server makes this folder for the tenant, and has made it."""
        return is_fixed(path) or (self.hooks.is_fixed(path) and path.parts in self._fixed)

    def staged(self, name: bytes) -> Path:
        """Return the path of a file in the scratch folder."""
        return self._staging / os.fsdecode(name)

    def kept_name(self, copy: Path) -> str:
        """Return the name of a kept copy: its path in the tenant's folder."""
        return str(copy.relative_to(self._root))

    async def prepared(self) -> None:
        """Make the folders of the server and of hooks that are not there. Does not wait if they are."""
        view = self.hooks
        if view is self._view:
            return
        async with self.changing() as names:
            found = await _make_fixed(names, {*FOLDERS, *view.fixed})
        self._view, self._fixed = view, found

    async def look(self, path: ClientPath) -> Place:
        """Return what is at a path, after the folders of the server were made. Raises OSError as a kernel does."""
        if any(len(part) > LONGEST_NAME for part in path.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        with reaching():
            await self.prepared()
            return await self.names.look(path.parts)

    async def find(self, path: ClientPath) -> Entry:
        """Return what is at a path. Raises OSError (ENOENT) if nothing is there."""
        entry = (await self.look(path)).entry
        if entry is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return entry

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Names]:
        """Run the block as one change of the tenant: on disk when it is left; if it raises, nothing has changed.

        No other change of the tenant happens meanwhile, here or in another process. Calls of the store in the block
        belong to the change. Raises OSError, and NotLanded if the tenant was removed.
        """
        acts: list[Act] = []
        try:
            # Work that is put off until the commit may change the same tenant.
            with reaching(), putting_off(acts):
                async with self._one_change:
                    async with self.names.together():
                        await self.names.hold()
                        yield self.names
                        taken = await self.taken()
                    self._changes += 1
                    self.usage.store(taken)
        finally:
            await finish(do_all(acts))

    async def recording(self, record: Record) -> None:
        """See `server.files.deciding.Recording`."""
        async with self.changing():
            await record()

    async def taken(self) -> Taken:
        """Return what counts against the quota now; in `changing`, as the change sees it."""
        at, before = self._counted or (0.0, None)
        if before is None or time.monotonic() - at >= MANY_COPIES_AGE_S:
            at, before = time.monotonic(), None
        taken = await self.names.taken(self.offered, before)
        self._counted = at, taken
        return taken

    async def recounted(self) -> Usage:
        """Return the running total, with what the database counts now."""
        before = self._changes
        with reaching():
            await self.prepared()
            taken = await self.taken()
        if before == self._changes:
            self.usage.store(taken)
        return self.usage

    async def follow_copies(self) -> None:
        """See `Files.follow_copies`. Also note how far uploads to hooks have come."""
        if not self._sessions:
            return
        with suppress(OSError), reaching():
            for draft in list(self.drafts):
                await draft.note_progress(self.store.drafts, self._number)
            if self.usage.waiting:
                await self.recounted()

    def _free(self) -> None:
        os.close(self.staging)


async def _make_fixed(names: Names, wanted: set[tuple[bytes, ...]]) -> frozenset[tuple[bytes, ...]]:
    """Make folders that do not count; return those that are there. One with a file in its place is not."""
    found, ids = set(), set()
    for folder in sorted(wanted, key=lambda parts: (len(parts), parts)):
        with suppress(OSError):
            place = await names.look(folder)
            if place.entry is None:
                await names.make_folder(place.folder, folder[-1], counts=False)
                place = await names.look(folder)
            if place.entry is not None and place.entry.content is None:
                await names.let_count(place.entry, counts=False)
                found.add(folder)
                ids.add(place.entry.id)
    for entry in await names.uncounted():
        if entry.id not in ids:
            await names.let_count(entry, counts=True)  # of a hook that is off now
    return frozenset(found)
