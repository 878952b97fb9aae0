"""The tenants of a data folder: a `server.tenants.home.Home`.

A tenant exists if it has a row in headcount.db and a folder. Creation makes the folder under another name, renames it
when it is complete, then writes the row. Removal first moves the folder to `removed/`, then deletes the row with the
tenant's tokens and imports. After a crash between the two, no client can log in, and running the same command again
finishes it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.sqlite.store import open_store
from engine.store import Store
from engine.tenants import Tenant
from ground.files import fsync_folder
from ground.moments import rfc3339, utc_now
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.users.users import Users
from importer.worker.results_folder import LOCAL_RESULTS, Results
from keys.errors import KeyRefused
from keys.file_ring import FileRing
from server.signing import SecretFiles
from server.tenants.local.folder import had_tenants, make_data_dir, server_database, users_in
from server.tenants.local.looks import FolderLooks
from server.tenants.local.marks import FileMarks
from server.tenants.local.measuring import bytes_below
from server.tenants.names import tenant_exists, valid_name
from server.tenants.settings import TenantRefused, from_texts, no_tenant

if TYPE_CHECKING:
    from keys.host import HostKey


class FolderHome(FolderLooks):
    """The tenants of one data folder, with their rows in `store`."""

    def __init__(self, data_dir: Path, store: Store) -> None:
        super().__init__(self.folder)
        self._data_dir = data_dir
        self._store = store
        self._rows = store.tenants()

    @property
    def store(self) -> Store:
        return self._store

    @property
    def archive(self) -> Archive:
        return LOCAL

    @property
    def results(self) -> Results:
        return LOCAL_RESULTS

    @property
    def parts(self) -> Mapping[str, Callable[[], Awaitable[bool]]]:
        return {}

    @property
    def root(self) -> Path:
        return self._data_dir

    def folder(self, name: str) -> TenantFolder:
        return TenantFolder(self._data_dir / "tenants" / valid_name(name))

    def lasting_folder(self, name: str) -> Path:
        return self.folder(name).root

    def users(self, name: str) -> Users:
        return users_in(self.folder(name))

    def ring(self, name: str) -> FileRing:
        return FileRing(self.folder(name).keys)

    @property
    def secrets(self) -> SecretFiles:
        return SecretFiles(self.folder)

    @property
    def marks(self) -> FileMarks:
        return FileMarks(self._data_dir)

    async def host_keys(self) -> list[HostKey]:
        # Imported here: it takes 0.25 s, which commands should not spend.
        from keys.host import host_keys

        return await asyncio.to_thread(host_keys, self._data_dir / "host_keys")

    async def perhaps_paused(self, names: Sequence[str]) -> Sequence[str]:
        return await asyncio.to_thread(lambda: [name for name in names if self.folder(name).paused.exists()])

    async def note_pause(self, name: str) -> None:
        self.folder(name).paused.touch()

    async def end_pause(self, name: str) -> None:
        await asyncio.to_thread(self.folder(name).paused.unlink, missing_ok=True)

    def refuse_absent(self, name: str) -> None:
        if not self.folder(name).root.is_dir():
            raise TenantRefused(
                "no_folder",
                f"the folder of tenant {name} is missing. Restore {self.folder(name).root}, "
                f"or finish removing the tenant: headcount tenant remove {name} --yes",
            )

    @property
    def kept_days(self) -> None:
        return None

    async def exists(self, name: str) -> bool:
        return self.folder(name).root.exists()

    async def add(self, name: str, keys: Iterable[str]) -> Tenant:
        folder = self.folder(name)
        async with self._one_at_a_time():
            if await self._rows.find(name) is not None:
                raise tenant_exists(name)
            if folder.root.is_dir():
                await _complete(folder, keys, make=not any(folder.root.iterdir()))
            else:
                await self._make(folder, keys)
            tenant = Tenant(name, rfc3339(utc_now()), await _highest_import(folder), _highest_run(folder))
            await self._rows.add(tenant)
        return tenant

    async def remove(self, name: str) -> Path:
        folder = self.folder(name)
        aside = self._data_dir / "removed" / f"{name}-{utc_now():%Y%m%dT%H%M%S.%fZ}"
        async with self._one_at_a_time():
            if await self._rows.find(name) is None:
                raise no_tenant(name)
            if folder.root.is_dir():
                await asyncio.to_thread(_move, folder.root, aside)
            await self._rows.remove(name)
        return aside

    async def tidy(self) -> None:
        return None

    async def bytes_of(self, name: str) -> int:
        return await asyncio.to_thread(bytes_below, self.folder(name).root)

    async def _make(self, folder: TenantFolder, keys: Iterable[str]) -> None:
        """Create the folder under another name, then rename it: no process sees half of it. Needs the lock."""
        new = TenantFolder(folder.root.parent / ".adding")
        await asyncio.to_thread(shutil.rmtree, new.root, ignore_errors=True)
        try:
            await _complete(new, keys, make=True)
            await asyncio.to_thread(_move, new.root, folder.root)
        except BaseException:
            shutil.rmtree(new.root, ignore_errors=True)
            raise

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncIterator[None]:
        """Lock the adding and removing of tenants, in all processes."""
        lock = os.open(self._data_dir / "tenants" / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@asynccontextmanager
async def open_folder(data_dir: Path, *, serving: bool = False) -> AsyncIterator[FolderHome]:
    """Open the data in `data_dir`, which is created if it does not exist.

    Works beside a running server; `serving` is set by the server itself. Raises TenantRefused, DatabaseUnusable.
    """
    make_data_dir(data_dir)
    new = not had_tenants(data_dir)
    async with open_store(server_database(data_dir), make=new, serving=serving) as store:
        yield FolderHome(data_dir, store)


async def _complete(folder: TenantFolder, keys: Iterable[str], *, make: bool) -> None:
    """Create what is missing in a tenant's folder, on disk when this returns. Only `make` creates users.db."""
    await asyncio.to_thread(make_places, folder)
    from_texts(await users_in(folder).prepare(make=make))
    await _add_keys(folder, list(keys))


def _move(old: Path, new: Path) -> None:
    """Rename a folder; it is on disk when this returns."""
    os.rename(old, new)
    for parent in {old.parent, new.parent}:
        fsync_folder(parent)


def make_places(folder: TenantFolder) -> None:
    """Make the folders that are missing of a tenant. Blocks. Raises OSError."""
    for place in (
        folder.root,
        folder.files,
        folder.results,
        folder.test,
        folder.staging,
        folder.uploads,
        folder.messages,
        folder.runs,
    ):
        place.mkdir(mode=0o700, exist_ok=True)


async def _add_keys(folder: TenantFolder, keys: Iterable[str]) -> None:
    ring = FileRing(folder.keys)
    for line in keys:
        try:
            await ring.add(line)
        except KeyRefused as error:
            if error.code != "key_duplicate":
                raise
    for path in (folder.files, folder.root):
        await asyncio.to_thread(fsync_folder, path)


async def _highest_import(folder: TenantFolder) -> int:
    """Return the highest import id that this folder shows, so that no id is used twice."""
    applied = await users_in(folder).highest_import()
    names = [path.name for place in (folder.uploads, folder.messages, folder.results) for path in place.iterdir()]
    numbers = [int(found[1]) for name in names if (found := re.match(r"(?:sync_users-)?([0-9]{1,15})\.", name))]
    return max([applied, *numbers])


def _highest_run(folder: TenantFolder) -> int:
    """Return the highest id of a run of a hook that this folder shows."""
    kept = [re.match(r"([0-9]{1,15})\.", path.name) for path in folder.runs.iterdir()]
    shown = [
        re.match(r"(?!sync_users-)[a-z][a-z0-9_]*-([0-9]{1,15})\.", path.name) for path in folder.results.iterdir()
    ]
    return max((int(found[1]) for found in (*kept, *shown) if found), default=0)
