"""The archive of imports and runs in the database, with a cache of files in the scratch folder of this process.

A file is at its path in the folder of a tenant only after `fetch` or `keep`. Files are made in folders of their own:
a reader that fetches a path never meets a file that is not kept yet. Nothing in the scratch folder outlives the
process.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from engine.postgres.database import Database
from engine.postgres.files.cache import Cache
from engine.postgres.files.contents import OF
from engine.postgres.files.kept import DROPPED, PostgresKeptFiles, keep
from engine.postgres.server.node import end_with
from engine.postgres.server.tenants import ID, hold
from engine.shared.files import CHUNK, ContentGone, Contents, KeptFile
from ground.threads import finish
from importer.archive import Stored
from importer.errors import Refused, TryAgain
from importer.folder import TenantFolder

T = TypeVar("T")

TRIES = 3
"""How often a fetch begins anew because a file is replaced or dropped meanwhile."""
LOCK = 0x72756E73
"""The first number of the advisory locks of runs; the second is the tenant's id."""
LOCKED_S = 0.05
"""Seconds between two looks at what another process has locked."""
LONG_S = 120
"""The longest time in seconds for which a lock is held; PostgreSQL ends it then."""

MARK = "content_id || ' ' || extract(epoch FROM kept_at)"
NAMED = "EXISTS (SELECT 1 FROM names WHERE tenant_id = kept.tenant_id AND content_id = kept.content_id)"
LINKED = (
    f"{NAMED} OR EXISTS (SELECT 1 FROM kept_files AS other WHERE other.tenant_id = kept.tenant_id"  # noqa: S608 - constants
    " AND other.content_id = kept.content_id AND other.name <> kept.name)"
)
STORED = (
    f"SELECT name, size, {LINKED}, {MARK} FROM kept_files AS kept"  # noqa: S608 - constants
    f" WHERE kept.{OF} AND name >= %(start)s AND name < %(end)s"
)
STORED_ONE = (
    f"SELECT size, {LINKED}, {MARK} FROM kept_files AS kept"  # noqa: S608 - constants
    f" WHERE kept.{OF} AND name = %(name)s"
)
PUBLISHED = f"SELECT {NAMED} FROM kept_files AS kept WHERE kept.{OF} AND name = %(name)s"  # noqa: S608 - constants
DROP_IF = f"DELETE FROM kept_files WHERE tenant_id = %(id)s AND name = %(name)s AND {MARK} = %(mark)s"  # noqa: S608


class PostgresArchive:
    """An `importer.archive.Archive`. Create it in the event loop of the database.

    `scratch` is a folder of this process, on the file system of the tenants' folders. The name of the root of a
    tenant's folder is that of the tenant.
    """

    def __init__(
        self,
        database: Database,
        contents: Contents,
        scratch: Path,
        cache: Cache | None = None,
        node: int | None = None,
    ) -> None:
        """`node` is the number of this server: a lock that it holds ends with it. None: a command."""
        self._node = node
        self._database = database
        self._contents = contents
        self._kept = PostgresKeptFiles(database)
        self._scratch = scratch
        self._cache = cache or Cache()
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._made: dict[Path, tuple[int | None, TenantFolder]] = {}
        self._paths: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
        self._one_lock = asyncio.Lock()

    @asynccontextmanager
    async def making(self, folder: TenantFolder) -> AsyncIterator[TenantFolder]:
        rows = await self._database.read(f"SELECT {ID}", folder.root.name)
        made = TenantFolder(self._scratch / f"made-{next(self._numbers)}" / folder.root.name)
        with _on_a_full_disk():
            await asyncio.to_thread(made.messages.mkdir, mode=0o700, parents=True)
        self._made[made.root] = rows[0][0], folder
        try:
            yield made
        finally:
            del self._made[made.root]
            await asyncio.to_thread(shutil.rmtree, made.root.parent, ignore_errors=True)

    async def keep(self, folder: TenantFolder, *files: Path) -> None:
        with _on_a_full_disk():
            await self._at_home(self._keep(folder, files))

    async def fetch(self, folder: TenantFolder, *files: Path) -> None:
        with _on_a_full_disk():
            await self._at_home(self._fetch(folder, files))

    @asynccontextmanager
    async def beginning(self, folder: TenantFolder, file: Path, most: int) -> AsyncIterator[Path]:
        with _on_a_full_disk():
            new = await self._at_home(self._begun(folder, file, most))
        try:
            yield new or file
        finally:
            if new:
                await asyncio.to_thread(new.unlink)

    @asynccontextmanager
    async def held(self, folder: TenantFolder, *files: Path) -> AsyncIterator[None]:
        with self._cache.holding(files):
            await self.fetch(folder, *files)
            yield

    async def drop(self, folder: TenantFolder, *files: Path) -> None:
        await self._kept.drop(folder.root.name, [_name(folder, file) for file in files])
        await self._clear(files)

    async def drop_if(self, folder: TenantFolder, file: Path, found: Stored) -> None:
        async with self._database.transaction() as steps:
            number = await hold(steps, folder.root.name)
            dropped = await steps.change(DROP_IF, id=number, name=_name(folder, file), mark=found.mark)
        if dropped:
            await self._clear([file])

    async def find(self, folder: TenantFolder, file: Path) -> Stored | None:
        rows = await self._database.read(STORED_ONE, tenant=folder.root.name, name=_name(folder, file))
        return next((Stored(*row) for row in rows), None)

    async def lacks(self, folder: TenantFolder, file: Path) -> bool:
        return await self.find(folder, file) is None

    async def names(self, folder: TenantFolder, place: Path) -> list[str]:
        start = f"{_name(folder, place)}/"
        return [each.name.removeprefix(start) for each in await self._kept.list(folder.root.name, start)]

    async def stored(self, folder: TenantFolder, place: Path) -> dict[str, Stored]:
        start = _name(folder, place)
        rows = await self._database.read(STORED, tenant=folder.root.name, start=f"{start}/", end=f"{start}0")
        return {name.removeprefix(f"{start}/"): Stored(*facts) for name, *facts in rows}

    async def was_published(self, folder: TenantFolder, copy: Path, visible: Path) -> bool:
        rows = await self._database.read(PUBLISHED, tenant=folder.root.name, name=_name(folder, copy))
        return bool(rows and rows[0][0])

    @asynccontextmanager
    async def locked(self, folder: TenantFolder, place: Path) -> AsyncIterator[None]:
        # One at a time: each takes a connection, and its block needs another.
        async with self._one_lock:
            while True:
                settings = {"idle_in_transaction_session_timeout": f"{LONG_S}s"}
                async with self._database.transaction(settings) as steps:
                    ((taken,),) = await steps.rows(
                        f"SELECT pg_try_advisory_xact_lock(%s, {ID}::integer)", LOCK, folder.root.name
                    )
                    if taken is not False:  # there is nothing to lock of an unknown tenant
                        await end_with(steps, self._node)
                        yield
                        return
                await asyncio.sleep(LOCKED_S)

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the event loop of the database: an import calls in a loop of its own."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    # Keeping

    async def _keep(self, folder: TenantFolder, files: Iterable[Path]) -> None:
        tenant = folder.root.name
        stored: dict[Path, tuple[int, int]] = {}
        missing: list[Path] = []
        for file in files:
            if (found := await self._store(tenant, file)) is None:
                missing.append(file)
            else:
                stored[file] = found
        async with self._database.transaction() as steps:
            number = await hold(steps, tenant)
            if number is None or self._made.get(folder.root, (number, folder))[0] != number:
                raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
            named = [(_name(folder, file), content) for file, (content, _) in stored.items()]
            try:
                await keep(steps.change, number, named)
            except ContentGone:
                raise _busy() from None
            await steps.change(DROPPED, id=number, names=[_name(folder, file) for file in missing])
        place = self._made.get(folder.root, (number, folder))[1]
        for file, (content, size) in stored.items():
            await self._take(file, place.root / _name(folder, file), content, size)
        await self._clear(place.root / _name(folder, file) for file in missing)
        await self._remove_unused()

    async def _store(self, tenant: str, file: Path) -> tuple[int, int] | None:
        """Store the content of a file; return its id and size. None if there is no file."""
        try:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            size = os.fstat(fd).st_size
            return await self._contents.store(tenant, fd, size), size
        finally:
            os.close(fd)

    async def _take(self, made: Path, path: Path, content: int, size: int) -> None:
        """Let a file that was made be at `path` too: it is kept, so no reader needs to fetch it."""
        async with self._lock(path):
            if made != path:
                new = self._new()
                await asyncio.to_thread(_link, made, new, path)
            self._cache.put(path, content, size)

    # Fetching

    async def _fetch(self, folder: TenantFolder, files: tuple[Path, ...]) -> None:
        tenant, names = folder.root.name, {_name(folder, file): file for file in files}
        for _ in range(TRIES):
            kept = {each.name: each for each in await self._kept.find(tenant, names)}
            try:
                for name, file in names.items():
                    await self._bring(tenant, file, kept.get(name))
            except ContentGone:
                continue  # it was replaced or dropped meanwhile
            await self._remove_unused()
            return
        raise _busy()

    async def _bring(self, tenant: str, file: Path, kept: KeptFile | None) -> None:
        async with self._lock(file):
            if kept is None:
                if self._cache.forget(file):
                    await asyncio.to_thread(file.unlink, missing_ok=True)
            elif not self._cache.has(file, kept.content):
                new = self._new()
                try:
                    await self._download(tenant, kept, new)
                    await asyncio.to_thread(_place, new, file)
                finally:
                    new.unlink(missing_ok=True)
                self._cache.put(file, kept.content, kept.size)

    async def _begun(self, folder: TenantFolder, file: Path, most: int) -> Path | None:
        """Return a new file with the first bytes of a long one; None if all of `file` is at its path now."""
        for kept in await self._kept.find(folder.root.name, [_name(folder, file)]):
            if kept.size > most and not self._cache.has(file, kept.content):
                try:
                    content = await self._contents.read(folder.root.name, kept.content, 0, most)
                except ContentGone:
                    raise _busy() from None
                new = self._new()
                await asyncio.to_thread(new.write_bytes, content)
                return new
        await self._fetch(folder, (file,))
        return None

    async def _download(self, tenant: str, kept: KeptFile, new: Path) -> None:
        fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if kept.size <= CHUNK:
                # By this task: it may have stored the content in a transaction that is still open.
                os.pwrite(fd, await self._contents.read(tenant, kept.content, 0, kept.size), 0)
            else:
                await finish(self._contents.fetch(tenant, kept.content, fd))  # a thread may write to the file
        finally:
            os.close(fd)
        # An import compares with the file before it only if that has the time that it had then.
        at = int(kept.kept_at * 1e9)
        os.utime(new, ns=(at, at))

    async def _remove_unused(self) -> None:
        for path in self._cache.too_many():
            await self._clear([path])

    async def _clear(self, paths: Iterable[Path]) -> None:
        """Remove what is at these paths."""
        for path in paths:
            async with self._lock(path):
                self._cache.forget(path)
                await asyncio.to_thread(path.unlink, missing_ok=True)

    def _lock(self, path: Path) -> asyncio.Lock:
        return self._paths.setdefault(path, asyncio.Lock())

    def _new(self) -> Path:
        return self._scratch / f"new-{next(self._numbers)}"


@contextmanager
def _on_a_full_disk() -> Iterator[None]:
    """Raise TryAgain if the scratch folder is full: no import fails for it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TryAgain("disk_full", "the disk is full") from error
        raise


def _busy() -> TryAgain:
    return TryAgain("database_busy", "the files of an import change all the time")


def _name(folder: TenantFolder, file: Path) -> str:
    return file.relative_to(folder.root).as_posix()


def _place(new: Path, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.replace(new, path)


def _link(made: Path, new: Path, path: Path) -> None:
    os.link(made, new, follow_symlinks=False)
    _place(new, path)
