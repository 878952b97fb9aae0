"""How the folders of tenants look, from outside and inside: a `server.tenants.home.Looks`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from engine.tenants import Tenant
from importer.folder import FolderOf
from keys.errors import RingUnreadable
from keys.file_ring import FileRing
from server.tenants.home import Found, Glance, Look, Signature
from server.tenants.inspection import glance, inspect, signature_of, unusable_copy

UNSETTLED_S = 2.0
"""Seconds after a write in which a file may change without a new time. No file system has coarser times."""


class FolderLooks:
    """The looks of the folders that `folder` returns."""

    def __init__(self, folder: FolderOf) -> None:
        self._folder = folder
        self._paths: dict[str, str] = {}

    async def look(self, name: str) -> Look:
        return look_of(self._path(name), time.time())

    async def looks(self, names: Sequence[str]) -> dict[str, Look]:
        return await asyncio.to_thread(self._looks, names)

    async def signatures(self, names: Sequence[str]) -> dict[str, Signature]:
        return await asyncio.to_thread(lambda: {name: signature_of(self._folder(name)) for name in names})

    async def glances(self, tenants: Iterable[Tenant], known: Callable[[str], Signature | None]) -> dict[str, Glance]:
        return await asyncio.to_thread(self._glances, tenants, known)

    async def inspect(self, name: str, *, whole: bool = False, noting: bool = False) -> Found:
        return await asyncio.to_thread(self._inspect, name, whole, noting)

    async def unusable_copies(self, needed: dict[str, list[tuple[int, int]]]) -> dict[str, str]:
        return await asyncio.to_thread(self._unusable_copies, needed)

    # Below: in a thread

    def _looks(self, names: Sequence[str]) -> dict[str, Look]:
        now = time.time()
        return {name: look_of(self._path(name), now) for name in names}

    def _path(self, name: str) -> str:
        """Return the path of a users.db. To build paths costs more than to look at the files."""
        if name not in self._paths:
            self._paths[name] = os.fspath(self._folder(name).users_db)
        return self._paths[name]

    def _glances(self, tenants: Iterable[Tenant], known: Callable[[str], Signature | None]) -> dict[str, Glance]:
        return {
            each.name: glance(
                *(self._folder(each.name), each.last_import_id, each.last_run_id),
                known(each.name),
            )
            for each in tenants
        }

    def _inspect(self, name: str, whole: bool, noting: bool) -> Found:
        folder = self._folder(name)
        found = inspect(folder, whole=whole)
        if noting and found.why is None:
            with suppress(OSError, RingUnreadable):  # the next inspection reports it
                FileRing(folder.keys).note()
        return found

    def _unusable_copies(self, needed: dict[str, list[tuple[int, int]]]) -> dict[str, str]:
        found = {name: unusable_copy(self._folder(name), copies) for name, copies in needed.items()}
        return {name: why for name, why in found.items() if why}


def look_of(database: str, now: float) -> Look:
    """Return the look of the users.db at `database`: inode, size and times of it and its log.

    It is settled if a change after `now` (seconds since 1970) will change it.
    """
    looks, newest = [], float("-inf")
    for name in (database, f"{database}-wal"):
        try:
            found = os.stat(name)
        except OSError:
            continue
        if name != database and not found.st_size:
            continue  # SQLite creates and empties it when it reads
        looks.append(f"{found.st_ino:x}.{found.st_size:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}")
        newest = max(newest, found.st_mtime, found.st_ctime)
    return Look("/".join(looks), now - newest > UNSETTLED_S)
