"""One tenant's files as all its sessions share them: the open folders, the running total, and the lock for landing.

There is never more than one of a tenant, or its quota would be counted twice.
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
from server.files.hooks import HookTable
from server.files.limits import Usage, measure_copies, measure_usage
from server.files.tree import Tree
from server.files.written import Memory

LONG_FILE = 8 * 1024 * 1024
"""Taking the last name of one away is work for a thread: a tenth of a second a gigabyte."""

FEW_COPIES = 16
"""So many are looked at in less time than a thread takes."""

T = TypeVar("T")
Args = TypeVarTuple("Args")


WhyNotStored = Callable[[str], str | None]


def never_refused(tenant: str) -> str | None:
    """A `WhyNotStored` of a disk that is never full."""
    return None


@dataclass(frozen=True, slots=True)
class House:
    """What all tenants share."""

    hooks: HookTable
    metrics: Metrics
    memory: Memory
    threads: ThreadPoolExecutor
    waiting_copies: Callable[[str], Sequence[Path] | None]
    """As `TenantDirectory.waiting_copies`."""
    buffer: bytearray
    """As long as the longest answer to a READ; used within one step of the event loop."""
    why_not_stored: WhyNotStored = never_refused
    """Why a tenant can store nothing now, None if it can."""


class Space:
    """The files of one tenant."""

    def __init__(self, tenant: str, root: Path, house: House) -> None:
        """`root` is the tenant's folder; what is missing in it is made."""
        places = TenantFolder(root)
        for place in (places.files, places.results, places.test, places.staging, places.uploads):
            place.mkdir(mode=0o700, exist_ok=True)
        self.tenant = tenant
        self.house = house
        self.folder = Tree(places.files)
        self.staging = Tree(places.staging)
        self.landing = asyncio.Lock()
        """Held while a hook's path changes, so that files land there in the order of their numbers."""
        self._usage: Usage | None = None
        self._measuring = asyncio.Lock()
        self._sessions = 0
        self._left_at = time.monotonic()
        self._retired = False

    def check_room(self) -> None:
        """Raise OSError (ENOSPC) with a sentence for the client if nothing can be stored now."""
        why = self.house.why_not_stored(self.tenant)
        if why:
            raise OSError(errno.ENOSPC, f"{why}: no upload can be stored now. Try again later")

    def is_at(self, root: Path) -> bool:
        """Whether the folder that is open is the one at `root`."""
        there, ours = os.stat(TenantFolder(root).files), os.fstat(self.folder.fd)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def enter(self) -> None:
        """One more session has it; it leaves once."""
        self._sessions += 1

    def leave(self) -> None:
        self._sessions -= 1
        self._left_at = time.monotonic()
        self._close_if_unused()

    def unused_s(self) -> float:
        """For how long no session has had it."""
        return 0.0 if self._sessions else time.monotonic() - self._left_at

    def retire(self) -> None:
        """It is not handed out any more: closed when the last session has left."""
        self._retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._retired and not self._sessions:
            self.folder.close()
            self.staging.close()

    async def usage(self) -> Usage:
        """The running total, measured the first time. Nothing may change a file before it has asked for it."""
        if self._usage is None:
            async with self._measuring:
                if self._usage is None:
                    self._usage = await self.in_thread(measure_usage, self.folder.fd)
        return self._usage

    async def recounted(self) -> Usage:
        """The running total, with the copies that wait as they are now; if that cannot be known, as they were."""
        usage = await self.usage()
        copies = self.house.waiting_copies(self.tenant)
        with suppress(OSError):
            if copies is not None and len(copies) <= FEW_COPIES:
                usage.waiting = measure_copies(copies)
            elif copies is not None:
                usage.waiting = await self.in_thread(measure_copies, copies)
        return usage

    async def follow_copies(self) -> None:
        """Count again while copies wait and a session is open: imports end while a client writes."""
        if self._sessions and self._usage is not None and self._usage.waiting:
            await self.recounted()

    @contextmanager
    def freeing(self, folder: int, name: bytes, found: os.stat_result | None) -> Iterator[None]:
        """Around whatever takes the last name of a file away: a long one is held, and given back to the file system
        in a thread."""
        if found is None or found.st_size < LONG_FILE:
            yield
            return
        held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            yield
        finally:
            self.close_later(held)

    def close_later(self, fd: int) -> None:
        """Close `fd` in a thread: if it is the last of a file without a name, that frees the file."""
        self.house.threads.submit(os.close, fd)

    async def in_thread(self, work: Callable[[Unpack[Args]], T], *args: *Args) -> T:
        """Do what blocks off the event loop. Cancelled, it ends with the thread: until then the descriptors that the
        thread works on must stay what they are."""
        coming = Coming(partial(work, *args))
        self.house.threads.submit(coming.do)
        return await coming
