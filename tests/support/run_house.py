"""Runs of hooks in a real database, with the folders and the ends around them, for tests."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.runs import Run
from engine.store import Store
from importer.folder import TenantFolder
from importer.model import ImportState
from importer.queue.notices import Channel, Notice
from server.runs.ending import Ending
from tests.support.engines import sqlite
from tests.support.queues import NOON, make_folder

SHA256 = "ab" * 32


class RunClock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Telling:
    """A herald that writes a notice of every end."""

    async def notices_of_run(self, run: Run) -> list[Notice]:
        return [Notice(run.tenant, Channel.WEBHOOK, f"run {run.id} {run.state}", "{}")]


class RunHouse:
    """The runs of a store, and their ends: the base of most tests of runs."""

    def __init__(self, data: Path, store: Store) -> None:
        self.data = data
        self.store = store
        self.runs = store.runs()
        self.clock = RunClock()
        self.ends: list[tuple[str, int, ImportState]] = []
        self.ending = Ending(self.runs, self.folder, self._ended, self.clock, Telling())

    def folder(self, tenant: str = "acme") -> TenantFolder:
        return TenantFolder(self.data / "tenants" / tenant)

    def _ended(self, run: Run) -> None:
        self.ends.append((run.hook, run.id, run.state))

    async def arrive(
        self, text: str = "x\n", tenant: str = "acme", hook: str = "invoices", name: str = "a.csv"
    ) -> Run:
        """Add an arriving upload with its copy."""
        number = await self.runs.arriving(tenant, hook, f"/{hook}/a.csv", size=len(text), uploaded_at=NOON)
        folder = self.folder(tenant)
        folder.runs.mkdir(mode=0o700, exist_ok=True)
        new = folder.staging / f"new-{number}"
        new.write_text(text)
        os.link(new, folder.run_copy(number))
        new.unlink()
        return await self.runs.require(tenant, number)

    async def upload(self, text: str = "x\n", tenant: str = "acme", hook: str = "invoices") -> Run:
        """Add a published file: copied and queued."""
        run = await self.arrive(text, tenant, hook)
        await self.runs.landed(*run.key)
        return await self.found(run)

    async def start(self, run: Run) -> Run:
        """Claim a queued run, and empty the folder of its reports."""
        begun = await self.runs.claim(*run.key, sha256=SHA256)
        assert begun
        self.folder(run.tenant).run_reports(run.id).mkdir(parents=True)
        return begun

    async def found(self, run: Run) -> Run:
        return await self.runs.require(*run.key)

    def report(self, run: Run, name: str, content: bytes = b"x") -> None:
        (self.folder(run.tenant).run_reports(run.id) / name).write_bytes(content)

    def shown(self, run: Run) -> Any:
        """Return the report in /results, or None if there is none."""
        file = self.folder(run.tenant).results / f"{run.hook}-{run.id}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def in_results(self, tenant: str = "acme") -> list[str]:
        return sorted(file.name for file in self.folder(tenant).results.iterdir())

    async def told(self, tenant: str = "acme") -> list[str]:
        """Return the topics of the notices, oldest first."""
        return [message.topic.partition(" #")[0] for message in await self.store.outbox().newest(tenant, 50)][::-1]


@asynccontextmanager
async def open_run_house(data: Path, *tenants: str) -> AsyncIterator[RunHouse]:
    """Open a house on the data folder `data`, in which these tenants exist."""
    async with sqlite(data)(*tenants) as store:
        for name in tenants:
            make_folder(data, name)
        yield RunHouse(data, store)
