"""Runs of hooks in a real database, with the folders and the ends around them, for tests."""

from __future__ import annotations

import json
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
from tests.support.installation import Installation, installation
from tests.support.queues import NOON

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

    def __init__(self, stored: Installation, store: Store) -> None:
        self.stored = stored
        self.store = store
        self.runs = store.runs()
        self.clock = RunClock()
        self.ends: list[tuple[str, int, ImportState]] = []
        self.archive, self.results = stored.archive(store), stored.results(store)
        self.ending = Ending(
            *(self.runs, self.folder, self._ended, self.clock, Telling()), archive=self.archive, results=self.results
        )

    def folder(self, tenant: str = "acme") -> TenantFolder:
        """Return the folder in which the parts of the house work."""
        return self.stored.folder(tenant)

    def copy(self, run_id: int, tenant: str = "acme") -> bytes | None:
        """Return the kept copy of a run; None without one."""
        return self.stored.run_copy(tenant, run_id)

    def _ended(self, run: Run) -> None:
        self.ends.append((run.hook, run.id, run.state))

    async def arrive(
        self, text: str = "x\n", tenant: str = "acme", hook: str = "invoices", name: str = "a.csv"
    ) -> Run:
        """Add an arriving upload with its copy."""
        number = await self.runs.arriving(tenant, hook, f"/{hook}/a.csv", size=len(text), uploaded_at=NOON)
        self.stored.keep_run_copy(tenant, number, text.encode())
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
        content = self.stored.visible(run.tenant, f"/results/{run.hook}-{run.id}.json")
        return None if content is None else json.loads(content)

    def in_results(self, tenant: str = "acme") -> list[str]:
        return self.stored.names(tenant, "/results")

    async def told(self, tenant: str = "acme") -> list[str]:
        """Return the topics of the notices, oldest first."""
        return [message.topic.partition(" #")[0] for message in await self.store.outbox().newest(tenant, 50)][::-1]


@asynccontextmanager
async def open_run_house(data: Path, *tenants: str) -> AsyncIterator[RunHouse]:
    """Open a house in `data`, in which these tenants exist."""
    stored = installation(data)
    async with stored.store(*tenants) as store:
        yield RunHouse(stored, store)
