"""The folders /results of tenants, in the tables of what clients see. A change is one transaction."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from engine.shared.files import ROOT, AllNames, ContentGone, Contents, KeptFiles, Names, TenantGone
from importer.errors import Refused
from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder

NAME = b"results"
PAGE = 1000
"""The most names that are read at once."""

Content = tuple[int, int]
"""The id of a content, and its size."""


class PostgresResults:
    """An `importer.worker.results_folder.Results`. The root of a tenant's folder has the name of the tenant."""

    def __init__(self, names: AllNames, contents: Contents, kept: KeptFiles) -> None:
        self._names = names
        self._contents = contents
        self._kept = kept

    async def change(self, folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
        tenant = folder.root.name
        try:
            names = await self._names.open(tenant)
            noted = _Noted(await _files(names))
            await asyncio.to_thread(work, noted)
            if noted.changes:
                contents = await self._stored(folder, noted.changes)
                async with names.together():
                    await names.hold()
                    await _apply(names, noted.changes, contents)
        except (TenantGone, Refused):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), tenant) from None
        except ContentGone:  # the archive replaced a file meanwhile
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), tenant) from None

    async def _stored(self, folder: TenantFolder, changes: Mapping[str, bytes | Path | None]) -> dict[str, Content]:
        """Return the content of each new file. A file that is kept in the archive has one already."""
        tenant = folder.root.name
        linked = {name: new for name, new in changes.items() if isinstance(new, Path)}
        paths = {name: new.relative_to(folder.root).as_posix() for name, new in linked.items()}
        kept = {each.name: (each.content, each.size) for each in await self._kept.find(tenant, paths.values())}
        found: dict[str, Content] = {}
        for name, new in changes.items():
            if isinstance(new, bytes):
                found[name] = await self._store(tenant, _in_memory(name, new))
            elif new is not None:
                known = kept.get(paths[name])
                found[name] = known or await self._store(
                    tenant, os.open(new, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                )
        return found

    async def _store(self, tenant: str, fd: int) -> Content:
        """Store the content of an open file, and close it."""
        try:
            size = os.fstat(fd).st_size
            return await self._contents.store(tenant, fd, size), size
        finally:
            os.close(fd)


class _Noted:
    """A `ResultsFolder` that notes what is to be done: by name the new file, None to remove it."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self.changes: dict[str, bytes | Path | None] = {}

    def names(self) -> list[str]:
        return sorted(self._names)

    def write(self, name: str, content: bytes) -> None:
        self._names.add(name)
        self.changes[name] = content

    def link(self, name: str, file: Path) -> None:
        file.lstat()
        self._names.add(name)
        self.changes[name] = file

    def remove(self, name: str) -> None:
        if name in self._names:
            self._names.remove(name)
            self.changes[name] = None


async def _files(names: Names) -> list[str]:
    """Return the names of the files in /results; none if there is no such folder."""
    folder = (await names.look([NAME])).entry
    found: list[str] = []
    page = await names.page(folder.id, b"", PAGE) if folder and folder.content is None else []
    while folder and page:
        found += [os.fsdecode(entry.name) for entry in page if entry.content is not None]
        page = await names.page(folder.id, page[-1].name, PAGE)
    return found


async def _apply(names: Names, changes: Mapping[str, bytes | Path | None], contents: Mapping[str, Content]) -> None:
    """Write the changes to the names of a tenant that is held. Raises OSError."""
    if (await names.look([NAME])).entry is None:
        await names.make_folder(ROOT, NAME, counts=False)
    now = time.time_ns()
    for name in changes:
        place = await names.look([NAME, os.fsencode(name)])
        if place.entry and place.entry.content is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if name in contents:
            await names.put(place, os.fsencode(name), *contents[name], (now, now), None, counts=False)
        elif place.entry:
            await names.delete(place.entry)


def _in_memory(name: str, content: bytes) -> int:
    fd = os.memfd_create(name[:200], os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    return fd
