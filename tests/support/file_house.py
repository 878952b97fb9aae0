"""The files of the tenant `acme` by each implementation, with a real store and a hook that queues runs in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from engine.postgres.connecting import blocking
from engine.postgres.store import PostgresStore
from engine.runs import RunStore
from engine.store import Store
from ground.afterwards import Act, once_stored
from importer.folder import TenantFolder
from importer.model import ImportState
from server.files.contracts import TenantLimits
from server.files.files import AllFiles, Files, Writing
from server.files.hooks import Arrival, Decide, Hooked, HookRefused, HookTable, Upload
from server.files.local.files import AllLocalFiles
from server.files.paths import ClientPath, parse_path
from server.files.patterns import Pattern
from server.files.shared.files import AllSharedFiles
from tests.support.engines import PLACES_OF_FILES
from tests.support.runs import ended
from tests.support.sftp import Counted

TENANT = "acme"
HOOK = "invoices"
NOW_AND_THEN = (1_600_000_000 * 10**9, 1_500_000_000 * 10**9)
LONGEST_READ = 64 * 1024


def path(text: str) -> ClientPath:
    return parse_path(text.encode())


async def done(doing: bytes | int | Awaitable[bytes | int]) -> bytes | int:
    """Return what `read` or `write` gave, at once or later."""
    return await doing if isinstance(doing, Awaitable) else doing


class QueueingHook:
    """A hook that queues a run for each file, in the store, and can be told to refuse."""

    def __init__(self, runs: RunStore, folder: TenantFolder) -> None:
        self._runs = runs
        self._folder = folder
        self.events: list[str] = []
        self.uploads: list[Upload] = []
        self.reasons: list[str] = []
        self.unwanted: str | None = None
        self.refuse: str | None = None
        self.fail: Exception | None = None
        self.offered: bytes | None = None
        self.waiting: list[Path] = []
        self.then: Act | None = None
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.landing = asyncio.Event()
        self.may_land = asyncio.Event()
        self.may_land.set()

    land = None

    @property
    def decide(self) -> Decide:
        return self.accepting

    async def accepting(self, upload: Upload, file: Path) -> None:
        self.offered = file.read_bytes()
        self.asked.set()
        await self.may_answer.wait()
        if self.unwanted:
            raise HookRefused(self.unwanted)

    async def arriving(self, upload: Upload) -> Arrival:
        if self.refuse:
            await self._record(upload, self.refuse)
            raise HookRefused(self.refuse)
        self._hear("arriving", upload)
        number = await self._arrive(upload)
        self._folder.runs.mkdir(parents=True, exist_ok=True)
        return Arrival(number, self._folder.run_copy(number))

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        self.landing.set()
        await self.may_land.wait()
        assert arrival.copy.stat().st_size == upload.size
        if self.fail:
            raise self.fail
        await self._runs.landed(upload.tenant, arrival.id)
        self.waiting.append(arrival.copy)
        self._hear("landed", upload)
        if self.then:
            await once_stored(self.then)

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        self._hear("failed", upload, reason)
        await self._end(arrival.id)

    async def aborted(self, upload: Upload, reason: str) -> None:
        self._hear("aborted", upload, reason)
        await self._record(upload, reason)

    async def ignored(self, upload: Upload, reason: str) -> None:
        self._hear("ignored", upload, reason)

    def _hear(self, event: str, upload: Upload, reason: str | None = None) -> None:
        self.events.append(event)
        self.uploads.append(upload)
        if reason is not None:
            self.reasons.append(reason)

    async def _record(self, upload: Upload, reason: str) -> None:
        await self._end(await self._arrive(upload))

    async def _arrive(self, upload: Upload) -> int:
        return await self._runs.arriving(
            upload.tenant, HOOK, upload.path, size=upload.size, uploaded_at=upload.uploaded_at
        )

    async def _end(self, number: int) -> None:
        run = await self._runs.require(TENANT, number)
        assert await self._runs.end_upload(ended(run, ImportState.ABORTED), published=True)


class FileHouse:
    """The files of one tenant, as sessions use them."""

    def __init__(self, store: Store, root: Path, make: MakeFiles, hooked: Sequence[str]) -> None:
        self.store = store
        self.root = root
        self.runs = store.runs()
        self.folder = TenantFolder(root)
        self.hook = QueueingHook(self.runs, self.folder)
        self.metrics = Counted()
        self.on: list[str] | None = None
        self.limits = TenantLimits()
        others = [Hooked(f"hook_{at}", Pattern(each), self.hook) for at, each in enumerate(hooked)]
        imports = {"/sync_users.csv": self.hook, "/test/sync_users.csv": self.hook}
        self.table = HookTable(imports, wide=imports, others=others, on=lambda _: self.on)
        self._make = make
        self.all: AllFiles = make(self, "first")
        self.files: Files = self.all.open(TENANT, root)
        self.files.enter()

    async def restart(self, process: str = "second") -> int:
        """Begin anew as after a kill: nothing of the process before goes on. Return how many drafts it left."""
        self.all = self._make(self, process)
        cleared = await self.all.clear(TENANT, self.root)
        self.files = self.all.open(TENANT, self.root)
        self.files.enter()
        return cleared

    async def begin(
        self, name: str, *, truncate: bool = True, create: bool = True, exclusive: bool = False
    ) -> Writing:
        return await self.files.begin(
            path(name), lambda: self.limits, truncate=truncate, create=create, exclusive=exclusive
        )

    async def put(self, name: str, data: bytes = b"x") -> int | None:
        """Upload a file; return the id of its run."""
        draft = await self.begin(name)
        await done(draft.write(0, data))
        return await self.files.finish(draft)

    async def get(self, name: str) -> bytes:
        reading = await self.files.open(path(name))
        data = b""
        while part := await done(reading.read(len(data), LONGEST_READ)):
            data += cast(bytes, part)
        await reading.close()
        return data

    async def names(self, name: str = "/") -> list[str]:
        """Return the names in a folder, in order."""
        listed = await self.files.listing(path(name))
        found: list[str] = []
        while entries := await listed.next(3):
            found += [each.name.decode() for each in entries]
        listed.close()
        assert found[:2] == [".", ".."]
        return sorted(found[2:])

    async def rename(self, old: str, new: str, *, replace: bool = False) -> None:
        await self.files.rename(path(old), path(new), replace=replace)

    async def make_folder(self, name: str) -> None:
        await self.files.make_folder(path(name), self.limits)

    async def taken(self) -> tuple[int, int]:
        """Return the bytes and files that count against the quota."""
        room = await self.files.room(self.limits)
        return self.limits.quota_bytes - room.size, self.limits.quota_files - room.files

    async def copy(self, number: int) -> bytes | None:
        """Return the kept copy of a run; None if there is none."""
        copy = self.folder.run_copy(number)
        if not isinstance(self.store, PostgresStore):
            return copy.read_bytes() if copy.exists() else None
        files = self.store.files("looks")
        kept = await files.kept.find(TENANT, [str(copy.relative_to(self.root))])
        return await files.contents.read(TENANT, kept[0].content, 0, 1 << 30) if kept else None

    async def states(self) -> dict[int, ImportState]:
        """Return the states of all runs."""
        found = {number: await self.runs.get(TENANT, number) for number in range(1, 30)}
        return {number: run.state for number, run in found.items() if run}

    async def remove_tenant(self) -> None:
        """Remove the tenant and add another one of its name, as Tenants do."""
        os.rename(self.root, self.root.with_name("removed"))
        for folder in (self.folder.files, self.folder.staging):
            folder.mkdir(parents=True)
        await self.store.tenants().remove(TENANT)


MakeFiles = Callable[[FileHouse, str], AllFiles]


def local(house: FileHouse, process: str) -> AllFiles:
    """In the folder."""
    house.folder.files.mkdir(parents=True, exist_ok=True)
    return AllLocalFiles(house.table, house.metrics, lambda _: house.hook.waiting, LONGEST_READ)


def shared(house: FileHouse, process: str) -> AllFiles:
    """In PostgreSQL."""
    store = house.store
    assert isinstance(store, PostgresStore)
    url = store.database.url

    def identity(tenant: str) -> int | None:
        with blocking(url) as read:
            rows = read("SELECT id FROM tenants WHERE name = %s", tenant)
        return rows[0][0] if rows else None

    return AllSharedFiles(house.table, house.metrics, store.files(process), identity, LONGEST_READ)


MAKE: dict[str, MakeFiles] = {"sqlite": local, "postgres": shared, "s3": shared}
"""The files that belong to each engine."""


@asynccontextmanager
async def file_house(folder: Path, engine: str, hooked: Sequence[str] = ()) -> AsyncIterator[FileHouse]:
    """Yield the files of `acme` by an engine: local with SQLite, shared with PostgreSQL, perhaps with bytes in S3."""
    async with PLACES_OF_FILES[engine](folder)(TENANT) as store:
        root = folder / "tenants" / TENANT
        root.mkdir(parents=True, exist_ok=True)
        yield FileHouse(store, root, MAKE[engine], hooked)
