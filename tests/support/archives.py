"""Where the files of imports and runs are kept, with each engine, for tests that know only the protocols."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.postgres import store as postgres_store
from engine.postgres.files.archive import PostgresArchive
from engine.postgres.files.results import PostgresResults
from engine.postgres.tenant.users import PostgresUsers
from engine.shared.objects import Objects
from engine.sqlite.tenant.users import SqliteUsers
from engine.store import Store
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.users.users import Users
from importer.worker.results_folder import LOCAL_RESULTS, Results
from tests.support.bucket import objects_of
from tests.support.engines import add_tenants, sqlite
from tests.support.importing import make_users
from tests.support.postgres import database_for


class Publish(Protocol):
    """Let a kept file be /sync_users.csv too."""

    async def __call__(self, copy: Path) -> None: ...


class Look(Protocol):
    """Return what is in /results, by name."""

    async def __call__(self) -> dict[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class House:
    """The tenant `acme`, as one process uses it. `others` is the folder of another tenant."""

    store: Store
    users: Users
    archive: Archive
    results: Results
    folder: TenantFolder
    others: TenantFolder
    in_results: Look
    publish: Publish


OpenHouse = Callable[[], AbstractAsyncContextManager[House]]
"""Open the tenants `acme` and `globex` as a new process. A second call keeps what was kept."""


def local(folder: Path) -> OpenHouse:
    """The files of the embedded engine, below `folder`."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        acme, globex = (TenantFolder(folder / name) for name in ("acme", "globex"))
        for tenant in (acme, globex):
            for place in (tenant.files, tenant.uploads, tenant.messages, tenant.runs, tenant.staging):
                place.mkdir(parents=True, exist_ok=True)

        async def in_results() -> dict[str, bytes]:
            return {name: (acme.results / name).read_bytes() for name in os.listdir(acme.results)}

        async def publish(copy: Path) -> None:
            os.link(copy, acme.visible("/sync_users.csv"))

        make_users(acme.users_db)
        async with sqlite(folder)("acme", "globex") as store:
            yield House(store, SqliteUsers(acme), LOCAL, LOCAL_RESULTS, acme, globex, in_results, publish)

    return opened


def postgres(folder: Path, objects: Objects | None = None) -> OpenHouse:
    """The files in a database that belongs to `folder`, and their bytes in `objects` if these are given.

    Each process has a scratch folder of its own.
    """
    processes = iter(range(99))

    @asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        scratch = folder / f"scratch-{next(processes)}"
        scratch.mkdir()
        async with postgres_store.open_store(await database_for(folder), objects=objects) as store:
            database = store.database
            await add_tenants(store, ("acme", "globex"))
            users = PostgresUsers(database.url, "acme", database)
            await users.prepare(make=True)
            contents = store.contents()

            async def in_results() -> dict[str, bytes]:
                rows = await database.read("SELECT name, content_id, size FROM names WHERE content_id IS NOT NULL")
                return {
                    os.fsdecode(name): await contents.read("acme", content, 0, size) for name, content, size in rows
                }

            async def publish(copy: Path) -> None:
                (kept,) = await store.kept_files().find("acme", [f"uploads/{copy.name}"])
                names = await store.files("test").names.open("acme")
                async with names.together():
                    await names.hold()
                    place = await names.look([b"sync_users.csv"])
                    await names.put(place, b"sync_users.csv", kept.content, kept.size, (0, 0), None)

            yield House(
                store,
                users,
                PostgresArchive(database, contents, scratch),
                PostgresResults(store.files("test").names, contents, store.kept_files()),
                TenantFolder(scratch / "tenants" / "acme"),
                TenantFolder(scratch / "tenants" / "globex"),
                in_results,
                publish,
            )

    return opened


def s3(folder: Path) -> OpenHouse:
    """The same with the bytes in S3."""
    return postgres(folder, objects_of(folder))


HOUSES = {"sqlite": local, "postgres": postgres, "s3": s3}
