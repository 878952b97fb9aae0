"""A database as a side of a move.

A tenant has a row from the beginning on. Its files come one by one. Its other rows come last, in one transaction, and
say that it is whole.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.postgres.files.moving import Name, NamesToMove, objects_in
from engine.postgres.moving import PostgresTables
from engine.postgres.server.node import PostgresNode, a_server_runs
from engine.postgres.shared.marks import PostgresMarkStore
from engine.postgres.urls import in_words
from engine.shared.files import ROOT, ContentGone
from engine.shared.objects import Objects
from engine.tenants import Tenant
from ground.files import naming
from importer.errors import DatabaseAway, DatabaseDamaged, DatabaseUnusable, TryAgain
from importer.model import Written
from keys.ring import Key
from server.moving.files import Fact, File, files_of, folders_of, some
from server.moving.side import Outside, Side
from server.places.database import saying_what_to_do
from server.tenants.settings import TenantRefused
from server.tenants.shared.home import DatabaseHome, open_home
from server.tenants.shared.rings import keys_of, stored_key

if TYPE_CHECKING:
    from keys.host import HostKey

AT_ONCE = 4 << 20
"""The bytes of a file that are read at once."""
NAMES_AT_ONCE = 200
UNREADABLE = "disk_error"
"""The code of the errors about bytes that are lost or damaged."""


class DatabaseSide:
    """The database of `home` as a `server.moving.side.Side`; `name` is the database in words."""

    def __init__(self, home: DatabaseHome, name: str, objects: Objects | None = None) -> None:
        self._home = home
        self._objects = objects
        self._name = name
        self._store = home.store
        self._tables = PostgresTables(home.store.database)
        self._ids: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def tables(self) -> PostgresTables:
        return self._tables

    @property
    def marks(self) -> PostgresMarkStore:
        return self._store.marks()

    async def server_runs(self) -> bool:
        return await a_server_runs(self._store.database)

    async def unfinished(self) -> int:
        # A server on this host that was killed is known to have ended; another one may be frozen, and go on.
        await PostgresNode(self._store.database.url, self._store.database).bury_ended()
        return await self._tables.unfinished()

    async def is_empty(self) -> bool:
        return await self._tables.is_empty()

    async def outside(self) -> Outside | None:
        found = await objects_in(self._store.database)
        return Outside(found[1], self._objects.name, f"{found[0]}/") if found and self._objects else None

    async def prepare(self, tenant: str) -> None:
        """Do nothing: all tables are up to date."""

    async def keys(self, tenant: str) -> Sequence[Key]:
        return keys_of(await self._store.keys().of(tenant))

    async def webhook_secret(self, tenant: str) -> str | None:
        return await self._home.secrets.kept_webhook_secret(tenant)

    async def host_keys(self) -> Sequence[HostKey]:
        return await self._home.secrets.kept_host_keys()

    async def facts(self, tenant: str) -> list[Fact]:
        names = await self._names(tenant)
        root = Fact(True, b"", modified=(time := await names.root_time()), accessed=time)
        kept = [Fact(False, name.encode(), content, size) for name, content, size in await names.kept()]
        return [root, *(_fact(path, each) for path, each in by_path(await names.names(), tenant).items()), *kept]

    @asynccontextmanager
    async def opened(self, tenant: str, file: Fact, into: int | None = None) -> AsyncIterator[int]:
        async with AsyncExitStack() as stack:
            if into is None:
                into = stack.enter_context(tempfile.TemporaryFile()).fileno()  # noqa: SIM115 - it is closed by the stack
            with _naming(tenant, file):
                await self._home.files.contents.fetch(tenant, _content(file), into)
            yield into

    async def digest(self, tenant: str, file: Fact) -> str:
        contents, digest = self._home.files.contents, hashlib.sha256()
        for offset in range(0, file.size, AT_ONCE):
            size = min(AT_ONCE, file.size - offset)
            with _naming(tenant, file):
                digest.update(await contents.read(tenant, _content(file), offset, size))
        return digest.hexdigest()

    async def refuse_files(self, tenant: str, facts: Sequence[Fact]) -> None:
        if strange := [each.path for each in facts if not each.seen and not _is_text(each.path)]:
            raise TenantRefused(
                "not_text",
                f"the folder of {tenant} has files whose names are not UTF-8: {some(strange)}. Headcount makes none "
                "of these: move them away",
            )
        most = self._home.files.contents.most_bytes
        if most is None or not (paths := [each.path for each in facts if each.size > most]):
            return
        raise TenantRefused(
            "file_too_long",
            f"the storage of files takes at most {most:,} bytes a file, and files of {tenant} have more: "
            f"{some(paths)}. Have them deleted, or leave HEADCOUNT_FILES_URL out: then the database gets all files",
        )

    async def is_whole(self, tenant: str) -> bool:
        return await self._tables.is_whole(tenant)

    async def open_secrets(self) -> None:
        await self._home.secrets.open()

    async def add(self, tenant: Tenant, source: Side) -> None:
        number = await self._tables.add_tenant(tenant)
        await self._add_files(tenant.name, source)
        keys = [stored_key(key) for key in await source.keys(tenant.name)]
        await self._store.keys().change(tenant.name, lambda _: keys)
        if secret := await source.webhook_secret(tenant.name):
            await self._home.secrets.put_webhook_secret(tenant.name, secret)
        numbering = await source.tables.numbering(tenant.name)
        await self._tables.fill_tenant(number, lambda table: source.tables.rows(table, tenant.name), numbering)

    async def put_host_keys(self, keys: Sequence[HostKey]) -> None:
        await self._home.secrets.put_host_keys(keys)

    async def _add_files(self, tenant: str, source: Side) -> None:
        """Store the files of a tenant, as far as they are not there. A name is there only with all bytes."""
        names, facts = await self._names(tenant), await source.facts(tenant)
        known = by_path(await names.names(), tenant)
        folders = {b"": ROOT, **{path: each.id for path, each in known.items() if each.content is None}}
        for folder in folders_of(facts):
            if folder.path not in folders:
                folders[folder.path] = await names.add_folder(_name(folder, folders, None))
        contents = {(True, path): each.content for path, each in known.items()}
        contents |= {(False, name.encode()): content for name, content, _ in await names.kept()}
        waiting: list[tuple[File, int]] = []
        for file in files_of(facts):
            stored = {contents.get((each.seen, each.path)) for each in file.names}
            if None not in stored:
                continue
            content = next(iter(stored - {None}), None) or await self._store_file(tenant, file.first, source)
            waiting.append((file, content))
            if len(waiting) >= NAMES_AT_ONCE:
                await _add(names, folders, waiting)
                waiting.clear()
        await _add(names, folders, waiting)
        await names.set_root_time(next(each.modified for each in facts if each.seen and not each.path))

    async def _store_file(self, tenant: str, file: Fact, source: Side) -> int:
        async with source.opened(tenant, file) as fd:
            with naming(f"{file.path.decode(errors='backslashreplace')} of {tenant}"):
                return await self._home.files.contents.store(tenant, fd, file.size)

    async def _names(self, tenant: str) -> NamesToMove:
        if tenant not in self._ids:
            self._ids[tenant] = await self._tables.id_of(tenant)
        return NamesToMove(self._store.database, self._ids[tenant])


@asynccontextmanager
async def in_database(
    url: str, secret_file: Path | None, where: str, objects: Objects | None = None
) -> AsyncIterator[DatabaseSide]:
    """Open the database at `url` as a side, with the bytes of its files in `objects` if they are not in it.

    Errors say that the URL is in `where`.
    """
    async with AsyncExitStack() as stack:
        with saying_what_to_do(where):
            home = await stack.enter_async_context(open_home(url, secret_file=secret_file, objects=objects))
        yield DatabaseSide(home, in_words(url), objects)


@contextmanager
def _naming(tenant: str, file: Fact) -> Iterator[None]:
    """Raise errors about lost or damaged bytes of a file with its name and what to do."""
    try:
        yield
    except DatabaseAway:
        raise
    except (TryAgain, DatabaseDamaged, ContentGone) as error:
        if isinstance(error, TryAgain) and error.code != UNREADABLE:
            raise
        why = error.why if isinstance(error, TryAgain) and error.why else str(error)
        path = file.path.decode(errors="backslashreplace")
        raise TryAgain(
            UNREADABLE,
            f"the {'visible' if file.seen else 'kept'} file “{path}” of {tenant} cannot be read",
            f"{why}. headcount doctor lists all such files. Restore what is missing, and run the same command again: "
            "it goes on. docs/moving.md says what to do without a copy",
        ) from error


def by_path(names: Iterable[Name], tenant: str) -> dict[bytes, Name]:
    """Return the names of a tenant by their paths, without a slash at the beginning.

    Raises DatabaseUnusable if a name is in no folder: PostgreSQL lets that be written by hand.
    """
    inside: dict[int, list[Name]] = {}
    for each in names:
        inside.setdefault(each.folder, []).append(each)
    found: dict[bytes, Name] = {}
    folders = [(ROOT, b"")]
    while folders:
        folder, above = folders.pop()
        for each in inside.pop(folder, ()):
            path = above + b"/" + each.name if above else each.name
            found[path] = each
            if each.content is None:
                folders.append((each.id, path))
    if inside:
        raise _in_no_folder([each for left in inside.values() for each in left], found.keys(), tenant)
    return found


def _in_no_folder(left: Sequence[Name], seen: Collection[bytes], tenant: str) -> DatabaseUnusable:
    """Return the error about names that no client can see, with the statement that shows the first in "/"."""
    folders = {each.id for each in left if each.content is None}
    name = min(left, key=lambda each: (each.folder in folders, each.id))  # with a folder comes what is in it
    change = f"folder_id = {ROOT}" + (f", name = 'found-{name.id}'" if name.name in seen else "")
    where = f"tenant_id = (SELECT id FROM tenants WHERE name = '{tenant}') AND id = {name.id}"  # noqa: S608
    do = f"UPDATE names SET {change} WHERE {where}"  # noqa: S608 - it is shown
    return DatabaseUnusable(
        f"in the table names of {tenant}, “{name.name.decode(errors='backslashreplace')}” is in a folder that does "
        f"not exist. To put it into “/”, run this in the database, then the same command again: {do}"
    )


async def _add(names: NamesToMove, folders: dict[bytes, int], waiting: Sequence[tuple[File, int]]) -> None:
    every = [(each, content) for file, content in waiting for each in file.names]
    await names.add(
        [_name(each, folders, content) for each, content in every if each.seen],
        [(each.path.decode(), content, each.size) for each, content in every if not each.seen],
    )


def _name(fact: Fact, folders: dict[bytes, int], content: int | None) -> Name:
    above, _, name = fact.path.rpartition(b"/")
    written = json.dumps(fact.written.to_json()) if fact.written else None
    return Name(folders[above], name, content, fact.size, fact.accessed, fact.modified, written, counts=fact.counts)


def _fact(path: bytes, name: Name) -> Fact:
    written = Written.from_json(json.loads(name.written)) if name.written else None
    return Fact(True, path, name.content, name.size, name.accessed, name.modified, written)


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _content(file: Fact) -> int:
    assert file.same is not None
    return file.same
