"""The folders /results of tenants in the table `names`. A change is one transaction."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.files import Contents
from engine.postgres.database import Database, Steps
from engine.postgres.files.contents import OF
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.server.tenants import hold
from importer.errors import Refused
from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder

NAME = b"results"

NAMES = (
    f"SELECT name FROM names WHERE {OF} AND content_id IS NOT NULL AND folder_id ="  # noqa: S608 - constants
    f" (SELECT id FROM names WHERE {OF} AND folder_id = 0 AND name = %(folder)s AND content_id IS NULL)"
)
MADE = (
    "INSERT INTO names (tenant_id, folder_id, name, accessed, modified, counts)"
    " VALUES (%(id)s, 0, %(folder)s, %(now)s, %(now)s, false) ON CONFLICT (tenant_id, folder_id, name) DO NOTHING"
)
FOLDER = "SELECT id FROM names WHERE tenant_id = %s AND folder_id = 0 AND name = %s AND content_id IS NULL"
NAMED = (
    "INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified, counts)"
    " SELECT tenant_id, %(folder)s, %(name)s, id, size, %(now)s, %(now)s, false FROM contents"
    " WHERE tenant_id = %(id)s AND id = %(content)s AND sealed"
    " ON CONFLICT (tenant_id, folder_id, name) DO UPDATE SET content_id = excluded.content_id, size = excluded.size,"
    " accessed = excluded.accessed, modified = excluded.modified, written = NULL, counts = false"
    " WHERE names.content_id IS NOT NULL"
)
REMOVED = (
    "DELETE FROM names WHERE tenant_id = %(id)s AND folder_id = %(folder)s AND name = ANY (%(names)s)"
    " AND content_id IS NOT NULL"
)


class PostgresResults:
    """An `importer.worker.results_folder.Results`. The root of a tenant's folder has the name of the tenant."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents
        self._kept = PostgresKeptFiles(database)

    async def change(self, folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
        rows = await self._database.read(NAMES, tenant=folder.root.name, folder=NAME)
        noted = _Noted(os.fsdecode(row[0]) for row in rows)
        await asyncio.to_thread(work, noted)
        if not noted.changes:
            return
        tenant = folder.root.name
        try:
            contents = await self._stored(folder, noted)
        except Refused:
            raise _no_tenant(tenant) from None
        async with self._database.transaction() as steps:
            number = await hold(steps, tenant)
            if number is None:
                raise _no_tenant(tenant)
            await _apply(steps, number, contents, [name for name, made in noted.changes.items() if made is None])

    async def _stored(self, folder: TenantFolder, noted: _Noted) -> dict[str, int]:
        """Return the content of each file to write. A file that is kept in the archive has one already."""
        made = noted.changes
        linked = {name: made_of for name, made_of in made.items() if isinstance(made_of, Path)}
        paths = {name: path.relative_to(folder.root).as_posix() for name, path in linked.items()}
        kept = {each.name: each.content for each in await self._kept.find(folder.root.name, paths.values())}
        found: dict[str, int] = {}
        for name, what in made.items():
            if isinstance(what, bytes):
                found[name] = await self._store_bytes(folder.root.name, name, what)
            elif what is not None:
                content = kept.get(paths[name])
                found[name] = await self._store_file(folder.root.name, what) if content is None else content
        return found

    async def _store_bytes(self, tenant: str, name: str, content: bytes) -> int:
        fd = os.memfd_create(name[:200], os.MFD_CLOEXEC)
        try:
            _write(fd, content)
            return await self._contents.store(tenant, fd, len(content))
        finally:
            os.close(fd)

    async def _store_file(self, tenant: str, file: Path) -> int:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return await self._contents.store(tenant, fd, os.fstat(fd).st_size)
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


def _write(fd: int, content: bytes) -> None:
    with open(fd, "wb", closefd=False) as file:
        file.write(content)


def _no_tenant(tenant: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), tenant)


async def _apply(steps: Steps, number: int, contents: dict[str, int], removed: list[str]) -> None:
    """Write the changes to the tenant of this number, which is held. Raises OSError."""
    now = time.time_ns()
    await steps.change(MADE, id=number, folder=NAME, now=now)
    rows = await steps.rows(FOLDER, number, NAME)
    if not rows:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), NAME)
    facts = {"id": number, "folder": rows[0][0]}
    for name, content in contents.items():
        if not await steps.change(NAMED, **facts, name=os.fsencode(name), content=content, now=now):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    await steps.change(REMOVED, **facts, names=[os.fsencode(name) for name in removed])
