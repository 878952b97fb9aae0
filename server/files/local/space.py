"""The files of one tenant, shared by all its sessions: the open folders, the running total and the landing lock.

A tenant has at most one `Space`; with two, its quota would be counted twice.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from ground.threads import Coming
from importer.folder import TenantFolder
from server.files.contracts import Metrics
from server.files.hooks import Hook, HookTable, HookView
from server.files.limits import Usage, measure_copies, measure_usage
from server.files.local.tree import Tree
from server.files.paths import TEST, ClientPath, check_writable, is_fixed
from server.files.written import Memory

LONG_FILE = 8 * 1024 * 1024
"""Bytes. Removing the last name of a longer file takes a thread: it needs 0.1 seconds a gigabyte."""

FEW_COPIES = 16
"""Measuring so many copies is faster than starting a thread."""

MANY_COPIES_AGE_S = 0.5
"""More copies than a few are measured again only after this time: thousands of runs of a hook may wait."""

T = TypeVar("T")
Args = TypeVarTuple("Args")


WhyNotStored = Callable[[str], str | None]


def never_refused(tenant: str) -> str | None:
    """The `WhyNotStored` of a disk that is never full."""
    return None


@dataclass(frozen=True, slots=True)
class House:
    """The parts that all tenants share."""

    hooks: HookTable
    metrics: Metrics
    memory: Memory
    threads: ThreadPoolExecutor
    waiting_copies: Callable[[str], Sequence[Path] | None]
    """See `TenantDirectory.waiting_copies`."""
    buffer: bytearray
    """As long as the longest answer to a READ; used only within one step of the event loop."""
    why_not_stored: WhyNotStored = never_refused
    """Return why a tenant cannot store anything now; None if it can."""


class Space:
    """The files of one tenant."""

    def __init__(self, tenant: str, root: Path, house: House) -> None:
        """Open the tenant's folder at `root`, and make its missing subfolders."""
        places = TenantFolder(root)
        for place in (places.files, places.results, places.test, places.staging, places.uploads):
            place.mkdir(mode=0o700, exist_ok=True)
        self.tenant = tenant
        self.house = house
        self._root = root
        self._staging = places.staging
        self.folder = Tree(places.files)
        self.staging = Tree(places.staging)
        self.landing = asyncio.Lock()
        """Held while a hook's path changes, so that files land there in the order of their ids."""
        self._view: HookView | None = None
        self._fixed: frozenset[tuple[bytes, ...]] = frozenset()
        self._usage: Usage | None = None
        self._copies_at = 0.0
        self._offered: set[Path] = set()
        self._measuring = asyncio.Lock()
        self._sessions = 0
        self._left_at = time.monotonic()
        self._retired = False

    def check_storage(self) -> None:
        """Raise OSError (ENOSPC) with a message for the client if nothing can be stored now."""
        why = self.house.why_not_stored(self.tenant)
        if why:
            raise OSError(errno.ENOSPC, f"{why}, so no upload can be stored now; try again later")

    @property
    def hooks(self) -> HookView:
        """Return the hooks that are on for the tenant now. Their fixed folders exist, if they could be made."""
        view = self.house.hooks.of(self.tenant)
        if view is not self._view:
            self._make_fixed(view)
        return view

    def hook_at(self, path: ClientPath) -> Hook | None:
        """Return the hook that gets a file completed at `path`; None if there is none.

        Raises OSError (EINVAL) if the path cannot be written as text for the hook.
        """
        hook = self.hooks.find(str(path))
        if hook is not None and not path.printable:
            raise OSError(errno.EINVAL, "a hook takes only names of printable UTF-8 characters; rename the file")
        return hook

    def is_fixed(self, path: ClientPath) -> bool:
        """Return whether the server makes this folder for the tenant."""
        return is_fixed(path) or (self.hooks.is_fixed(path) and path.parts in self._fixed)

    def check_writable(self, path: ClientPath) -> None:
        """Raise OSError (EACCES) if clients may not change `path`, by `paths.check_writable` or because of a hook."""
        check_writable(path)
        if self.is_fixed(path):
            raise OSError(errno.EACCES, f"{path} belongs to a hook and cannot be replaced, renamed or removed")

    def staged(self, name: bytes) -> Path:
        """Return the path of a file in staging."""
        return self._staging / os.fsdecode(name)

    def is_at(self, root: Path) -> bool:
        """Return whether the open folder is the one at `root` now."""
        there, opened = os.stat(TenantFolder(root).files), os.fstat(self.folder.fd)
        return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)

    @property
    def removed(self) -> bool:
        """Return whether the tenant was removed. A new tenant may have its name."""
        try:
            return not self.is_at(self._root)
        except FileNotFoundError:
            return True

    def enter(self) -> None:
        """Count one more session; it must call `leave` once."""
        self._sessions += 1
        self._make_fixed(self.house.hooks.of(self.tenant))

    def leave(self) -> None:
        self._sessions -= 1
        self._left_at = time.monotonic()
        self._close_if_unused()

    def unused_s(self) -> float:
        """Return for how many seconds no session has used it; 0 if one does."""
        return 0.0 if self._sessions else time.monotonic() - self._left_at

    def retire(self) -> None:
        """Close the folders when the last session has left. The caller no longer hands it out."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and not self._sessions:
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

    async def usage(self) -> Usage:
        """Return the running total, measured at the first call. Call it before any change to a file."""
        if self._usage is None:
            async with self._measuring:
                if self._usage is None:
                    self._usage = await self.in_thread(measure_usage, self.folder.fd, self._fixed)
        return self._usage

    async def recounted(self) -> Usage:
        """Return the running total with the waiting copies measured now; if they cannot be read, as before.

        Many copies are not measured again within `MANY_COPIES_AGE_S`.
        """
        usage = await self.usage()
        if usage.many and time.monotonic() - self._copies_at < MANY_COPIES_AGE_S:
            return usage
        copies = self.house.waiting_copies(self.tenant)
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

    def close_later(self, fd: int) -> None:
        """Close `fd` in a thread: the last close of a file without a name frees its space, which takes time."""
        self.house.threads.submit(os.close, fd)

    async def in_thread(self, work: Callable[[Unpack[Args]], T], *args: *Args) -> T:
        """Run blocking `work` in a thread. If canceled, it still returns only when the thread has ended.

        Until then the descriptors that the thread uses must stay open.
        """
        coming = Coming(partial(work, *args))
        self.house.threads.submit(coming.do)
        return await coming
