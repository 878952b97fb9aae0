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
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.worker.results_folder import LOCAL_RESULTS, Results
from tests.support.engines import add_tenants
from tests.support.postgres import database_for


class Look(Protocol):
    """Return what is in /results, by name."""

    async def __call__(self) -> dict[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class House:
    """What one process has of a tenant. `others` is what it has of another one."""

    archive: Archive
    results: Results
    folder: TenantFolder
    others: TenantFolder
    in_results: Look


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

        yield House(LOCAL, LOCAL_RESULTS, acme, globex, in_results)

    return opened


def postgres(folder: Path) -> OpenHouse:
    """The files in a database that belongs to `folder`; each process has a scratch folder of its own."""
    processes = iter(range(99))

    @asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        scratch = folder / f"scratch-{next(processes)}"
        scratch.mkdir()
        async with postgres_store.open_store(await database_for(folder)) as store:
            await add_tenants(store, ("acme", "globex"))
            contents, database = store.contents(), store.database

            async def in_results() -> dict[str, bytes]:
                rows = await database.read("SELECT name, content_id, size FROM names WHERE content_id IS NOT NULL")
                return {
                    os.fsdecode(name): await contents.read("acme", content, 0, size) for name, content, size in rows
                }

            yield House(
                PostgresArchive(database, contents, scratch),
                PostgresResults(database, contents),
                TenantFolder(scratch / "tenants" / "acme"),
                TenantFolder(scratch / "tenants" / "globex"),
                in_results,
            )

    return opened


HOUSES = {"sqlite": local, "postgres": postgres}
