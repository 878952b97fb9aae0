"""The files of one tenant, shared by all its sessions: the open folders, the running total and the landing lock.

A tenant has at most one `Space`; with two, its quota would be counted twice.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.landing import Stored
from importer.errors import TryAgain
from importer.folder import TenantFolder
from server.files.base import House
from server.files.ending import Endings
from server.files.hooks import HookView
from server.files.limits import Usage
from server.files.local.kept import KeptFolders
from server.files.local.measuring import measure_copies, measure_usage
from server.files.local.records import Memory
from server.files.local.tree import Tree
from server.files.paths import TEST, ClientPath, is_fixed

LONG_FILE = 8 * 1024 * 1024
"""Bytes. Removing the last name of a longer file takes a thread: it needs 0.1 seconds a gigabyte."""

FEW_COPIES = 16
"""Measuring so many copies is faster than starting a thread."""

MANY_COPIES_AGE_S = 0.5
"""More copies than a few are measured again only after this time: thousands of runs of a hook may wait."""

UNCOUNTED_COPIES_AGE_S = 5.0
"""The same while none of them counts, because each is a visible file, too. A file that is removed counts at once."""

CHANGED_LATER = "a file for a hook cannot be replaced, renamed or removed now; try again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalHouse(House):
    """The parts that all tenants with a folder share."""

    memory: Memory
    waiting_copies: Callable[[str], Sequence[Path] | None]
    """See `TenantDirectory.waiting_copies`."""


class Space(Endings):
    """The open folders of one tenant. `LocalFiles` has the operations on them."""

    house: LocalHouse

    def __init__(self, tenant: str, root: Path, house: LocalHouse) -> None:
        """Open the tenant's folder at `root`, and make its missing subfolders."""
        super().__init__(tenant, house)
        places = TenantFolder(root)
        for place in (places.files, places.results, places.test, places.staging, places.uploads):
            place.mkdir(mode=0o700, exist_ok=True)
        self.in_thread, self.close_later = house.disk.in_thread, house.disk.close_later
        self._files, self._staging = places.files, places.staging
        self.folder = Tree(places.files)
        self.staging = Tree(places.staging)
        self.kept = KeptFolders()
        self.landing = asyncio.Lock()
        """Held while a hook's path changes, so that files land there in the order of their ids."""
        self._stored: Stored | None = None
        self._landed_under: HookView | None = None
        self._view: HookView | None = None
        self._fixed: frozenset[tuple[bytes, ...]] = frozenset()
        self._usage: Usage | None = None
        self._copies_at = float("-inf")
        self._offered: set[Path] = set()
        self._flushed: set[tuple[bytes, ...]] = set()
        self._measuring = asyncio.Lock()

    @property
    def hooks(self) -> HookView:
        """Return the hooks that are on for the tenant now. Their fixed folders exist, if they could be made."""
        view = super().hooks
        if view is not self._view:
            self._make_fixed(view)
        return view

    def is_fixed(self, path: ClientPath) -> bool:
        """Return whether the server makes this folder for the tenant, and has made it."""
        return is_fixed(path) or (self.hooks.is_fixed(path) and path.parts in self._fixed)

    def staged(self, name: bytes) -> Path:
        """Return the path of a file in staging."""
        return self._staging / os.fsdecode(name)

    def is_at(self, root: Path) -> bool:
        """Return whether the open folder is the one at `root` now."""
        return self._is_open(TenantFolder(root).files)

    def _is_open(self, files: Path) -> bool:
        return os.path.samestat(os.stat(files), os.fstat(self.folder.fd))

    @property
    def removed(self) -> bool:
        """Return whether the tenant was removed. A new tenant may have its name."""
        try:
            return not self._is_open(self._files)
        except FileNotFoundError:
            return True

    def enter(self) -> None:
        """Count one more session; it must call `leave` once."""
        super().enter()
        self._make_fixed(self.house.hooks.of(self.tenant))

    def _free(self) -> None:
        self.folder.close()
        self.staging.close()

    def _make_fixed(self, view: HookView) -> None:
        """Make the folders of hooks. One with a file in its place is not fixed until the file is removed."""
        before, added = self._fixed, 0
        found: set[tuple[bytes, ...]] = {folder for folder in view.fixed if folder == (TEST,)}
        for folder in sorted(view.fixed - found, key=len):
            with suppress(OSError):
                there = not self.folder.make_folder(folder)
                found.add(folder)
                added += folder not in before and there
        self._view, self._fixed = view, frozenset(found)
        if self._usage is not None:
            gone = before - found - {(TEST,)}
            self._usage.add(0, len(gone) - added)

    def flush_folders(self, path: ClientPath) -> None:
        """Bring the names of the folders above `path` to the disk, unless they are there. Blocks. Raises OSError.

        A client may have made or moved one just before, and one of a hook was made when the session began.
        """
        flushed = self._flushed  # `folders_changed` meanwhile: what is noted here counts no more
        for end in range(1, len(path.parts)):
            if (folder := path.parts[:end]) not in flushed:
                above = self.folder.open_folder(folder[:-1])
                try:
                    os.fsync(above)
                finally:
                    os.close(above)
                flushed.add(folder)

    def folders_changed(self) -> None:
        """Note that a folder got another path, or that its path is free for another one."""
        self._flushed = set()

    def has_landed(self, path: str, stored: Stored | None) -> None:
        """Note that a file landed; `stored` waits until its record is on the disk, None: it is.

        Then it does not say that what the file before relies on is there, too.
        """
        if stored is None:
            return
        view = self.hooks  # the hook may have been turned off meanwhile, and that of a file before this one
        known = self._stored is None or self._stored.done or self._landed_under is view
        self._stored, self._landed_under = stored, view if known and view.find(path) else None

    def unused_s(self) -> float:
        """See `BaseFiles`. The space is used until all that landed is on disk: a new one would not wait for that."""
        return super().unused_s() if self._stored is None or self._stored.done else 0.0

    @property
    def hooks_changed(self) -> bool:
        """Return whether a file whose record may not be on the disk yet can be at a path that had a hook before."""
        return self._stored is not None and self.hooks is not self._landed_under

    @asynccontextmanager
    async def unlanding(self) -> AsyncIterator[None]:
        """Hold the landing lock, for a removal or rename of a file that landed: its record is on the disk as queued.

        Raises OSError if that is not certain.
        """
        async with self.landing:
            await self.stored()
            yield

    async def stored(self) -> None:
        """Return when what landed is on disk under its names. Raises OSError. The caller holds the landing lock."""
        if self._stored is not None:
            try:
                await self._stored()
            except TryAgain as error:
                raise OSError(errno.EIO, f"{error.message}, so {CHANGED_LATER}") from error
            self._stored = None

    async def usage(self) -> Usage:
        """Return the running total, measured at the first call. Call it before any change to a file."""
        if self._usage is None:
            async with self._measuring:
                if self._usage is None:
                    self._usage = await self.in_thread(measure_usage, self.folder.fd, self._fixed)
        return self._usage

    async def recounted(self, *, apart: bool = False) -> Usage:
        """Return the running total with the waiting copies measured now; if they cannot be read, as before.

        Many copies are not measured again within `MANY_COPIES_AGE_S`, or `UNCOUNTED_COPIES_AGE_S`, but not so long
        for a file `apart`: those before it may have become copies that were never visible files.
        """
        usage = await self.usage()
        age_s = MANY_COPIES_AGE_S if usage.waiting or apart else UNCOUNTED_COPIES_AGE_S
        if usage.many and time.monotonic() - self._copies_at < age_s:
            return usage
        copies = self.house.waiting_copies(self.tenant)
        usage.removed = usage.removed and copies is None
        if copies is not None and self._offered:
            copies = [*copies, *self._offered]
        with suppress(OSError):
            if copies is not None and len(copies) <= FEW_COPIES:
                usage.waiting, usage.many = measure_copies(copies), False
            elif copies is not None:
                self._copies_at, usage.many = time.monotonic(), True
                usage.waiting = await self.in_thread(measure_copies, copies)
        return usage

    @contextmanager
    def offering(self, name: bytes) -> Iterator[None]:
        """Count the file `name` in staging as a waiting copy: the visible file that it links may be removed."""
        self._offered.add(path := self.staged(name))
        try:
            yield
        finally:
            self._offered.discard(path)

    async def follow_copies(self) -> None:
        """Measure the copies again while some wait and a session is open: imports may end while a client writes."""
        if self._sessions and self._usage is not None and self._usage.waiting:
            await self.recounted()

    @contextmanager
    def freeing(self, folder: int, name: bytes, found: os.stat_result | None) -> Iterator[None]:
        """Wrap the removal of a file's last name: keep a long file open, and close it in a thread, which frees it."""
        if found is None or found.st_size < LONG_FILE:
            yield
            return
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            yield
        finally:
            self.close_later(held)
