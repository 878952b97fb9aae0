"""Tenants and their folders: creation, removal and look-up by name.

A tenant exists if it has a row in headcount.db and a folder. Creation makes the folder under another name, renames it
when it is complete, then writes the row. Removal first moves the folder to `removed/`, then deletes the row with the
tenant's tokens and imports. After a crash between the two, no client can log in, and running the same command again
finishes it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pwd
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from engine.sqlite.store import open_store, store_file
from engine.sqlite.tenant.users import SqliteUsers
from engine.store import Store
from engine.tenants import Tenant
from ground.files import fsync_folder
from ground.moments import rfc3339, utc_now
from importer.folder import TenantFolder
from importer.model import INTEGER_MAX
from importer.users.users import Users
from keys.errors import KeyRefused
from keys.file_ring import FileRing
from keys.ring import KeyRing
from server.tenants.hook_settings import KnownHooks
from server.tenants.settings import (
    TenantRefused,
    TenantSettings,
    change_settings,
    changed,
    from_texts,
    no_tenant,
    read_settings,
    settings_history,
)

OPERATOR = "operator"
"""The author of settings changed on the command line."""

NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)


HistoryPage = tuple[list[dict[str, Any]], int | None]


def tenant_folder(data_dir: Path, name: str) -> TenantFolder:
    """Return the folder of the tenant `name`, which may not exist. Raises TenantRefused for an invalid name."""
    if not NAME.fullmatch(name):
        raise TenantRefused(
            "bad_name",
            f"“{name}” cannot be the name of a tenant. Use 2 to 31 of a-z, 0-9 and hyphens, a letter first",
        )
    return TenantFolder(data_dir / "tenants" / name)


def users_in(folder: TenantFolder) -> Users:
    """Return the users of the tenant in `folder`."""
    return SqliteUsers(folder)


def server_database(data_dir: Path) -> Path:
    return store_file(data_dir)


def make_data_dir(data_dir: Path) -> None:
    """Create the data folder and its fixed folders if missing, readable only by this user.

    Raises TenantRefused if it belongs to another user, or if it has tenants but no headcount.db.
    """
    _refuse_foreign(data_dir)
    refuse_lost(data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data_dir / "tenants").mkdir(mode=0o700, exist_ok=True)
    (data_dir / "removed").mkdir(mode=0o700, exist_ok=True)


def refuse_lost(data_dir: Path) -> None:
    """Raise TenantRefused if headcount.db is missing or empty but there are folders of tenants: it was lost."""
    database = server_database(data_dir)
    try:
        lost = None if database.stat().st_size else "empty"
    except FileNotFoundError:
        lost = "missing"
    if lost and _had_tenants(data_dir):
        log = "Move headcount.db-wal away. " if os.path.exists(f"{database}-wal") else ""
        raise TenantRefused(
            "database_lost",
            f"{database} is {lost}, but {data_dir} has folders of tenants. {log}Restore headcount.db from a backup, "
            "and do not delete the folders: their files and users are complete",
        )


def _had_tenants(data_dir: Path) -> bool:
    """Return whether a tenant was ever created here. Its folder gets its name after headcount.db gets its schema."""
    for place in (data_dir / "tenants", data_dir / "removed"):
        with suppress(FileNotFoundError), os.scandir(place) as entries:
            if any(entry.is_dir() and not entry.name.startswith(".") for entry in entries):
                return True
    return False


class Tenants:
    """The tenants of one data folder, with their rows in `store`. Changes are on disk when a method returns.

    `public_url` is the address of the page that the operator has set. `hooks` returns the hooks of the server, and
    is set later: the hooks are found with the store. It is called when a setting of hooks is to be changed.
    """

    def __init__(self, data_dir: Path, store: Store, public_url: str | None = None) -> None:
        self.data_dir = data_dir
        self._public_url = public_url
        self.hooks: Callable[[], KnownHooks] = dict
        self.store = store
        self._rows = store.tenants()

    async def list(self) -> list[Tenant]:
        """Return all tenants, by name."""
        return await self._rows.list()

    async def require(self, name: str) -> Tenant:
        """Return the tenant, with or without a folder. Raises TenantRefused if there is none of that name."""
        found = await self._rows.find(name)
        if found is None:
            raise no_tenant(name)
        return found

    async def get(self, name: str) -> Tenant:
        """Return the tenant. Raises TenantRefused if there is none of that name, or its folder is missing."""
        found = await self.require(name)
        if not self.folder(name).root.is_dir():
            raise TenantRefused(
                "no_folder",
                f"the folder of tenant {name} is missing. Restore {self.folder(name).root}, "
                f"or finish removing the tenant: headcount tenant remove {name} --yes",
            )
        return found

    def folder(self, name: str) -> TenantFolder:
        """Return the folder of the tenant. Raises TenantRefused for an invalid name."""
        return tenant_folder(self.data_dir, name)

    def users(self, name: str) -> Users:
        """Return the tenant's users. Raises TenantRefused for an invalid name."""
        return users_in(self.folder(name))

    def ring(self, name: str) -> KeyRing:
        """Return the tenant's keys."""
        return FileRing(self.folder(name).keys)

    async def add(self, name: str, keys: Iterable[str] = ()) -> Tenant:
        """Create a tenant, its folder and its databases, with these public keys (lines of .pub files).

        A folder without a tenant (moved in by hand, or left by a crash) is used as it is. Raises TenantRefused or
        KeyRefused; then no tenant is created.
        """
        folder = self.folder(name)
        async with self._one_at_a_time():
            if await self._rows.find(name) is not None:
                raise TenantRefused("tenant_exists", f"the tenant {name} exists already")
            if folder.root.is_dir():
                await _complete(folder, keys, make=not any(folder.root.iterdir()))
            else:
                await self._make(folder, keys)
            tenant = Tenant(name, rfc3339(utc_now()), await _highest_import(folder), _highest_run(folder))
            await self._rows.add(tenant)
        return tenant

    async def remove(self, name: str) -> Path:
        """Move the tenant's folder to `removed/`, and delete its tokens and imports. Its sessions end within seconds.

        Return the new path of the folder. Raises TenantRefused if there is no such tenant.
        """
        folder = self.folder(name)
        aside = self.data_dir / "removed" / f"{name}-{utc_now():%Y%m%dT%H%M%S.%fZ}"
        async with self._one_at_a_time():
            if await self._rows.find(name) is None:
                raise no_tenant(name)
            if folder.root.is_dir():
                await asyncio.to_thread(_move, folder.root, aside)
            await self._rows.remove(name)
        return aside

    async def settings(self, name: str) -> TenantSettings:
        """Return the tenant's current settings, even while an import of it runs. Raises TenantRefused, TryAgain."""
        await self.get(name)
        return await asyncio.to_thread(read_settings, self.users(name))

    async def settings_history(self, name: str, limit: int, before: int = INTEGER_MAX) -> HistoryPage:
        """Return the `settings_history` of the tenant. For the server, which has migrated its users.db."""
        return await settings_history(self.users(name), limit, before)

    async def change_settings(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        by: str = OPERATOR,
        whole: bool = False,
        expected: str | None = None,
    ) -> TenantSettings:
        """Apply all `changes` (None resets a setting), or none. Raises TenantRefused.

        With `whole`, every setting that `changes` does not name is reset too. `by` is the author. `expected` is the
        `etag` of the settings that the author has seen: if they differ now, nothing changes.
        Raises TryAgain while an import of the tenant locks the database.
        """
        await self.get(name)
        mark = self.folder(name).paused
        if changes.get("paused_until"):
            mark.touch()
        after = await change_settings(
            *(self.users(name), changes),
            by=by,
            whole=whole,
            expected=expected,
            public_url=self._public_url,
            hooks=self.hooks(),
        )
        if after.paused_until and "paused_until" in changes:
            mark.touch()  # the server may have removed it before the change
        return after

    def perhaps_paused(self, names: Iterable[str]) -> Sequence[str]:
        """Return those of these tenants whose settings may have a pause: `change_settings` leaves a mark. Blocks."""
        return [name for name in names if self.folder(name).paused.exists()]

    def changed(self, now: TenantSettings, changes: Mapping[str, object]) -> TenantSettings:
        """Return the settings `now` as `change_settings` would change them. Raises TenantRefused."""
        return changed(now, changes, public_url=self._public_url, hooks=self.hooks())

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
        lock = os.open(self.data_dir / "tenants" / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@asynccontextmanager
async def open_tenants(
    data_dir: Path, *, serving: bool = False, public_url: str | None = None
) -> AsyncIterator[Tenants]:
    """Open the tenants of `data_dir`, which is created if it does not exist. Works beside a running server.

    `serving` is set by the server itself, and `public_url` by the operator. Raises TenantRefused, DatabaseUnusable.
    """
    make_data_dir(data_dir)
    new = not _had_tenants(data_dir)
    async with open_store(server_database(data_dir), make=new, serving=serving) as store:
        yield Tenants(data_dir, store, public_url)


async def _complete(folder: TenantFolder, keys: Iterable[str], *, make: bool) -> None:
    """Create what is missing in a tenant's folder, on disk when this returns. Only `make` creates users.db."""
    await asyncio.to_thread(_make_places, folder)
    from_texts(await users_in(folder).prepare(make=make))
    await _add_keys(folder, list(keys))


def _move(old: Path, new: Path) -> None:
    """Rename a folder; it is on disk when this returns."""
    os.rename(old, new)
    for parent in {old.parent, new.parent}:
        fsync_folder(parent)


def _make_places(folder: TenantFolder) -> None:
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


def _refuse_foreign(data_dir: Path) -> None:
    """Refuse a data folder of another user: the server of that user could not read files made here."""
    try:
        owner = server_database(data_dir).stat().st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise TenantRefused(
            "not_yours",
            f"the data in {data_dir} belongs to the user {name}. Run the same command as that user: "
            f"sudo -u {name} headcount ...",
        )
