"""The tenants of a database: a `server.tenants.home.Home`.

A tenant exists if it has a row with its name. Its creation is one transaction. So is its removal, which takes the
name from the row, and deletes the tokens and imports. Users, settings, keys and files are kept for `KEPT_DAYS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engine.postgres.files.archive import PostgresArchive
from engine.postgres.files.results import PostgresResults
from engine.postgres.migrations import newest
from engine.postgres.store import PostgresStore, open_store
from engine.postgres.tenant.users import PostgresUsers
from engine.postgres.together import forget_proofs
from engine.shared.objects import Objects
from engine.tenants import Tenant
from ground.moments import rfc3339, utc_now
from importer.errors import DatabaseFault, DatabaseUnusable
from importer.folder import TenantFolder
from keys.errors import KeyRefused
from server.tenants.home import Found, Glance, Look, Signature
from server.tenants.names import tenant_exists, valid_name
from server.tenants.settings import READ_TIMEOUT_S, TenantRefused, from_texts, no_tenant
from server.tenants.shared.away import AwayLog, FilesAwayLog, TokenLog
from server.tenants.shared.rings import StoredRing
from server.tenants.shared.scratch import scratch_folder
from server.tenants.shared.sealed_home import SealedHome

KEPT_DAYS = 30
"""Days until the rows of a removed tenant are deleted."""

A_FEW = 100
"""The most tenants that are asked for by name, and the most contents of files that are deleted at once."""


class DatabaseLooks:
    """How the tenants in `store` look."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._rows = store.tenants()

    def users(self, name: str) -> PostgresUsers:
        store = self._store
        return PostgresUsers(store.database.url, valid_name(name), store.database, store.node_number)

    async def look(self, name: str) -> Look:
        return (await self.looks([name]))[name]

    async def looks(self, names: Sequence[str]) -> dict[str, Look]:
        known = await self._rows.looks(names if len(names) <= A_FEW else None)
        return {name: Look(known.get(name, ""), settled=True) for name in names}

    async def signatures(self, names: Sequence[str]) -> dict[str, Signature]:
        return {name: f"{look.text} {newest()['tenant']}" for name, look in (await self.looks(names)).items()}

    async def glances(self, tenants: Iterable[Tenant], known: Callable[[str], Signature | None]) -> dict[str, Glance]:
        signatures, left = await self.signatures([each.name for each in tenants]), await self._left()
        return {name: Glance(each, leftovers=name in left, plain=True) for name, each in signatures.items()}

    async def inspect(self, name: str, *, whole: bool = False, noting: bool = False) -> Found:
        return Found(await asyncio.to_thread(self._fault, name, whole))

    async def unusable_copies(self, needed: dict[str, list[tuple[int, int]]]) -> dict[str, str]:
        return {}

    async def _left(self) -> Collection[str]:
        """Return the tenants with unfinished uploads of a server that has gone."""
        return ()

    def _fault(self, name: str, whole: bool) -> str | None:
        users = self.users(name)
        try:
            from_texts(users.read_settings(READ_TIMEOUT_S)[0])
            if whole:
                users.read_all()
        except (TenantRefused, ValueError) as error:
            return f"a setting in the database is not valid ({error})"
        except (DatabaseUnusable, DatabaseFault) as error:  # such as bytes that do not mean text
            return str(error)
        return None


class DatabaseHome(DatabaseLooks, SealedHome):
    """The tenants in `store`; working files are in the folder `scratch`. `secret_file` opens what is sealed."""

    def __init__(self, store: PostgresStore, scratch: Path, secret_file: Path | None) -> None:
        DatabaseLooks.__init__(self, store)
        SealedHome.__init__(self, store.secrets(), store.marks(), secret_file)
        self._scratch = scratch
        self._made: set[str] = set()
        self.files = store.files()
        """The stored files of all tenants."""
        self._archive = PostgresArchive(store.database, self.files.contents, scratch, node=store.node_number)
        self._results = PostgresResults(self.files.names, self.files.contents, self.files.kept)

    @property
    def store(self) -> PostgresStore:
        return self._store

    @property
    def archive(self) -> PostgresArchive:
        return self._archive

    @property
    def results(self) -> PostgresResults:
        return self._results

    @property
    def parts(self) -> Mapping[str, Callable[[], Awaitable[bool]]]:
        return {"files": self._files_answer} if self._store.objects_pulse else {}

    async def _files_answer(self) -> bool:
        if self._store.objects_pulse:
            self._store.objects_pulse.check()
        return True

    @property
    def root(self) -> Path:
        return self._scratch

    def folder(self, name: str) -> TenantFolder:
        folder = TenantFolder(self._scratch / "tenants" / valid_name(name))
        if name not in self._made:
            for place in (folder.files, folder.staging, folder.uploads, folder.messages, folder.runs):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._made.add(name)
        return folder

    def lasting_folder(self, name: str) -> Path | None:
        return None

    def ring(self, name: str) -> StoredRing:
        return StoredRing(self._store.keys(), valid_name(name))

    def refuse_absent(self, name: str) -> None:
        pass

    @property
    def kept_days(self) -> int:
        return KEPT_DAYS

    async def exists(self, name: str) -> bool:
        return await self._rows.find(name) is not None

    async def add(self, name: str, keys: Iterable[str]) -> Tenant:
        tenant = Tenant(valid_name(name), rfc3339(utc_now()), 0)
        async with self._store.database.together():
            if not await self._rows.add_new(tenant):
                raise tenant_exists(name)
            await self.users(name).prepare(make=True)
            ring = self.ring(name)
            for line in keys:
                try:
                    await ring.add(line)
                except KeyRefused as error:
                    if error.code != "key_duplicate":
                        raise
        return tenant

    async def _left(self) -> Collection[str]:
        return await self.files.drafts.left()

    async def remove(self, name: str) -> None:
        if not await self._rows.put_aside(valid_name(name)):
            raise no_tenant(name)

    async def tidy(self) -> None:
        await self._rows.delete_removed(KEPT_DAYS * 86_400)
        await self.files.contents.collect(A_FEW)
        await forget_proofs(self._store.database.change)

    async def bytes_of(self, name: str) -> int:
        return await self._rows.bytes_of(name)


@asynccontextmanager
async def open_home(
    url: str, *, secret_file: Path | None = None, serving: bool = False, objects: Objects | None = None
) -> AsyncIterator[DatabaseHome]:
    """Open the data in the database at `url`; missing tables are created. The bytes of files are in `objects`.

    Works beside a running server; `serving` is set by the server itself. Raises TryAgain, DatabaseUnusable.
    """
    async with open_store(
        url, serving=serving, heard=AwayLog(), objects=objects, objects_heard=FilesAwayLog(), token_heard=TokenLog()
    ) as store:
        with scratch_folder() as scratch:
            yield DatabaseHome(store, scratch, secret_file)
