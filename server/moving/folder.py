"""A data folder as a side of a move. Everything blocks: no server runs in this process.

A tenant is built in `tenants/.moving-NAME`, file by file, and gets its name when all of it is there. Its rows in
headcount.db come last, and say that it is whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.sqlite.moving import SqliteTables, fill_users
from engine.tenants import Tenant
from ground.files import fsync_folder, naming
from importer.folder import TenantFolder
from keys.file_ring import FileRing
from keys.ring import Key
from server.files.local.records import put_record, record_at
from server.moving.files import KEPT, Fact, File, files_of, folders_of, some
from server.moving.side import Side
from server.signing import kept_secret, put_secret
from server.tenants.inspection import inspect
from server.tenants.local.folder import server_database, users_in
from server.tenants.local.home import FolderHome, make_places
from server.tenants.local.marks import FileMarks
from server.tenants.settings import TenantRefused

if TYPE_CHECKING:
    from keys.host import HostKey

CANNOT_KEEP = {errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EOVERFLOW, errno.EINVAL}
"""The errors about times and extended attributes that a file system does not have."""
PATH_MAX = 4096
"""The bytes of a path, with the NUL at its end."""
HOST_KEYS = "host_keys"
AT_ONCE = 1 << 20


class FolderSide:
    """The data folder of `home` as a `server.moving.side.Side`. The caller holds its lock."""

    def __init__(self, home: FolderHome) -> None:
        self._home = home
        self._tables = SqliteTables(server_database(home.root), lambda name: home.folder(name).users_db)

    @property
    def name(self) -> str:
        return f"the data folder {self._home.root}"

    @property
    def tables(self) -> SqliteTables:
        return self._tables

    @property
    def marks(self) -> FileMarks:
        return self._home.marks

    def close(self) -> None:
        """Close what is open for reading."""
        self._tables.close()

    async def server_runs(self) -> bool:
        return False  # this process holds the lock of a server

    async def unfinished(self) -> int:
        left = [
            entry for each in await self._tables.tenants() for entry in _entries(self._home.folder(each.name).staging)
        ]
        return await self._tables.unfinished() + len(left)

    async def is_empty(self) -> bool:
        return await self._tables.is_empty() and not _entries(self._home.root / HOST_KEYS)

    async def outside(self) -> None:
        return None

    async def prepare(self, tenant: str) -> None:
        if why := inspect(self._home.folder(tenant)).why:
            raise TenantRefused("tenant_broken", f"the tenant {tenant} cannot be moved: {why}")
        await self._home.users(tenant).prepare()

    async def keys(self, tenant: str) -> Sequence[Key]:
        return self._home.ring(tenant).read()

    async def webhook_secret(self, tenant: str) -> str | None:
        return kept_secret(self._home.folder(tenant).webhook_secret)

    async def host_keys(self) -> Sequence[HostKey]:
        from keys.host import kept_host_keys  # it takes 0.25 s, which other commands should not spend

        return kept_host_keys(self._home.root / HOST_KEYS)

    async def facts(self, tenant: str) -> list[Fact]:
        return facts_in(self._home.folder(tenant))

    @asynccontextmanager
    async def opened(self, tenant: str, file: Fact, into: int | None = None) -> AsyncIterator[int]:
        fd = os.open(_place(self._home.folder(tenant), file), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    async def digest(self, tenant: str, file: Fact) -> str:
        async with self.opened(tenant, file) as fd:
            return _digest(fd)

    async def refuse_files(self, tenant: str, facts: Sequence[Fact]) -> None:
        """Try, with a file without a name, what the file system keeps beside the bytes of each. Count the paths."""
        building = self._building(tenant)
        if far := [each.path for each in facts if len(_place(building, each)) >= PATH_MAX]:
            raise TenantRefused(
                "path_too_long",
                f"Linux takes paths of at most {PATH_MAX - 1:,} bytes, and in {self._home.root} some of {tenant} are "
                f"longer: {some(far)}. Use a data folder with a shorter path, or have folders renamed",
            )
        place = self._home.root / "tenants"
        with naming(str(place)), tempfile.TemporaryFile(dir=place) as tried:
            lost = [each for each in facts if each.seen and not _is_kept(tried.fileno(), each)]
        if lost:
            raise TenantRefused(
                "not_kept",
                f"the file system of {self._home.root} does not keep the times and extended attributes of files as "
                f"they are: {some(each.path for each in lost)} of {tenant}. Use a folder on another one, such as "
                "ext4 or XFS",
            )

    async def is_whole(self, tenant: str) -> bool:
        return await self._tables.is_whole(tenant)

    async def open_secrets(self) -> None:
        """Do nothing: secrets are files."""

    async def add(self, tenant: Tenant, source: Side) -> None:
        folder = self._home.folder(tenant.name)
        if not folder.root.exists():
            building = self._building(tenant.name)
            await self._build(building, tenant.name, source)
            os.rename(building.root, folder.root)
            fsync_folder(folder.root.parent)
        await self._tables.fill_tenant(tenant, lambda table: source.tables.rows(table, tenant.name))

    async def put_host_keys(self, keys: Sequence[HostKey]) -> None:
        from keys.host import put_host_keys

        if keys:
            put_host_keys(self._home.root / HOST_KEYS, keys)

    def _building(self, tenant: str) -> TenantFolder:
        """Return the folder of a tenant that is not whole."""
        return TenantFolder(self._home.folder(tenant).root.with_name(f".moving-{tenant}"))

    async def _build(self, folder: TenantFolder, name: str, source: Side) -> None:
        make_places(folder)
        facts = await source.facts(name)
        folders = folders_of(facts)
        for each in folders:
            os.makedirs(_place(folder, each), mode=0o700, exist_ok=True)
        for file in files_of(facts):
            await self._put(folder, name, file, source)
        await _make_users(folder, name, source)
        if keys := await source.keys(name):
            FileRing(folder.keys).put(keys)
        if secret := await source.webhook_secret(name):
            put_secret(folder.webhook_secret, secret)
        for each in reversed(folders):
            os.utime(_place(folder, each), ns=(each.accessed, each.modified))
        for root, _, _ in os.walk(folder.root):
            fsync_folder(Path(root))

    async def _put(self, folder: TenantFolder, tenant: str, file: File, source: Side) -> None:
        """Write a file with all its names, as far as they are not there. A name is there only with all bytes."""
        first = _place(folder, file.first)
        os.makedirs(os.path.dirname(first), mode=0o700, exist_ok=True)
        if not os.path.lexists(first):
            await self._write(folder, tenant, file.first, source)
        for other in map(lambda each: _place(folder, each), file.others):  # noqa: C417
            os.makedirs(os.path.dirname(other), mode=0o700, exist_ok=True)
            if not os.path.lexists(other):
                os.link(first, other)

    async def _write(self, folder: TenantFolder, tenant: str, file: Fact, source: Side) -> None:
        new = folder.staging / "moving"
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with naming(os.fsdecode(_place(folder, file))):
                async with source.opened(tenant, file, fd) as found:
                    if found != fd:
                        _copy(found, fd)
                _keep(fd, file)
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, _place(folder, file))


def facts_in(folder: TenantFolder) -> list[Fact]:
    """Return the files and folders of a tenant. Raises TenantRefused for an entry that is neither."""
    found = [_fact(folder, b"", seen=True)]
    below = [b""]
    while below:
        path = below.pop()
        for entry in sorted(os.listdir(os.path.join(os.fsencode(folder.files), path))):
            fact = _fact(folder, os.path.join(path, entry), seen=True)
            found.append(fact)
            if fact.is_folder:
                below.append(fact.path)
    return [*found, *_hidden(folder)]


def _hidden(folder: TenantFolder) -> Iterator[Fact]:
    root = os.fsencode(folder.root)
    for place in KEPT:
        for inside, below, names in os.walk(os.path.join(root, place.encode()), onerror=_refuse_unread):
            links = [name for name in below if os.path.islink(os.path.join(inside, name))]
            for name in sorted([*names, *links]):
                yield _fact(folder, os.path.relpath(os.path.join(inside, name), root), seen=False)


def _refuse_unread(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed. An absent one has no files."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _fact(folder: TenantFolder, path: bytes, *, seen: bool) -> Fact:
    place = _path(folder, path, seen=seen)
    found = os.lstat(place)
    if stat.S_ISDIR(found.st_mode):
        return Fact(seen, path, None, 0, found.st_atime_ns, found.st_mtime_ns)
    if not stat.S_ISREG(found.st_mode):
        raise TenantRefused("not_a_file", f"{os.fsdecode(place)} is neither a file nor a folder. Move it away first")
    times = (found.st_atime_ns, found.st_mtime_ns) if seen else (0, 0)
    return Fact(seen, path, found.st_ino, found.st_size, *times, record_at(place) if seen else None)


def _place(folder: TenantFolder, fact: Fact) -> bytes:
    return _path(folder, fact.path, seen=fact.seen)


def _path(folder: TenantFolder, path: bytes, *, seen: bool) -> bytes:
    root = os.fsencode(folder.files if seen else folder.root)
    return os.path.join(root, path) if path else root


async def _make_users(folder: TenantFolder, tenant: str, source: Side) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{folder.users_db}{end}").unlink(missing_ok=True)
    await users_in(folder).prepare(make=True)
    rows = source.tables.rows
    numbering = await source.tables.numbering(tenant)
    await fill_users(folder.users_db, tenant, lambda table: rows(table, tenant), numbering)
    _fsync(folder.users_db)
    if (await users_in(folder).prepare()).get("paused_until", "null") != "null":
        folder.paused.touch()


def _keep(fd: int, file: Fact) -> None:
    """Give an open file the times of `file`, and the record of how that was written. Raises OSError."""
    if file.written:
        put_record(fd, file.written)
    if file.seen:
        os.utime(fd, ns=(file.accessed, file.modified))


def _is_kept(fd: int, file: Fact) -> bool:
    """Return whether the file system keeps the time and the record of `file`. An open file gets them."""
    try:
        _keep(fd, file)
    except OSError as error:
        if error.errno in CANNOT_KEEP:
            return False
        raise
    return os.fstat(fd).st_mtime_ns == file.modified


def _digest(fd: int) -> str:
    with open(fd, "rb", closefd=False) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync(file: Path) -> None:
    with open(file, "rb") as stream:
        os.fsync(stream)


def _copy(source: int, target: int) -> None:
    with open(source, "rb", closefd=False) as read, open(target, "wb", closefd=False) as write:
        shutil.copyfileobj(read, write, AT_ONCE)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
