"""Retention of the runs of hooks: expired rows and files go, those that are shown or wait stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.runs import RunStore
from ground.moments import rfc3339
from importer.errors import Refused
from importer.folder import TenantFolder
from importer.model import ImportState
from importer.worker.pruning import trim_copies
from importer.worker.results import KEPT
from server.runs.again import run_again
from server.runs.registry import RegisteredHook, Registry
from server.tenants.settings import TenantSettings
from server.tenants.tenants import Tenants
from server.upkeep.expired_runs import prune_runs
from server.upkeep.keeping import Keeper
from tests.support.installation import Installation, installation
from tests.support.queues import House, run_to
from tests.support.runs import arrive, end_in, put_in_line, start
from tests.support.waiting import eventually

DAY = timedelta(days=1)
INVOICES = RegisteredHook("invoices", "/invoices/*.csv", "acme")


@dataclass
class Yard:
    """The runs of a tenant, and the keeper that prunes them."""

    stored: Installation
    tenants: Tenants
    keeper: Keeper
    folder: TenantFolder

    @property
    def runs(self) -> RunStore:
        return self.tenants.store.runs()

    async def put(self, size: int = 5, hook: str = "invoices") -> int:
        """Queue a run with a copy of its file, and a report of an earlier attempt."""
        number = await put_in_line(self.runs, hook=hook, size=size)
        self.stored.keep_run_copy("acme", number, b"x" * size)
        self.folder.run_reports(number).mkdir(parents=True)
        (self.folder.run_reports(number) / "sums.csv").write_text("1")
        return number

    async def ended(self, state: ImportState, age: timedelta = DAY, size: int = 5, hook: str = "invoices") -> int:
        number = await self.put(size, hook)
        await end_in(self.runs, number, state, at=rfc3339(datetime.now(UTC) - age))
        return number

    def files(self) -> set[str]:
        """Return the names of the kept copies, and of the folders of reports."""
        reports = {each.name for each in self.folder.runs.iterdir() if each.is_dir()}
        return self.stored.kept_names("acme", "runs") | reports

    async def rows(self) -> list[int]:
        return [each.id for each in await self.runs.page("acme", limit=1000)]

    async def due(self) -> list[str]:
        return await self.keeper._due()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    stored = installation(tmp_path)
    async with stored.open() as tenants:
        await tenants.add("acme")
        keeper = Keeper(tenants, tenants.store.imports(), lambda: datetime.now(UTC))
        yield Yard(stored, tenants, keeper, tenants.folder("acme"))


@pytest.mark.logs("runs_pruned")
async def test_expired_runs_are_deleted_with_their_files_but_for_the_newest_reports(yard: Yard) -> None:
    old = await yard.ended(ImportState.FAILED, 91 * DAY)
    rest = [await yard.ended(ImportState.COMPLETED, 91 * DAY) for _ in range(KEPT)]
    assert await yard.keeper.prune(["acme"]) == []
    assert await yard.rows() == rest[::-1]
    assert await yard.runs.get("acme", old) is None
    assert yard.files() == set(), "the files of those that are listed are expired, too"


async def test_each_hook_keeps_its_newest_reports(yard: Yard) -> None:
    scan = await yard.ended(ImportState.COMPLETED, 91 * DAY, hook="scans")
    for _ in range(KEPT):
        await yard.ended(ImportState.COMPLETED, 91 * DAY)
    await yard.keeper.prune(["acme"])
    assert scan in await yard.rows()


async def test_runs_that_wait_or_are_younger_stay_with_their_files(yard: Yard) -> None:
    young = await yard.ended(ImportState.FAILED, 89 * DAY)
    queued = await yard.put()
    await start(yard.runs, await yard.put(hook="scans"))
    await arrive(yard.runs)
    await yard.ended(ImportState.FAILED, 91 * DAY, hook="other")
    files = {f"{number}.{kind}" for number in (young, queued, queued + 1) for kind in ("file", "reports")}
    await yard.keeper.prune(["acme"])
    assert yard.files() == files
    assert (await yard.runs.require("acme", 4)).state is ImportState.ARRIVING


async def test_a_tenant_with_runs_alone_is_pruned_when_the_first_expires(yard: Yard) -> None:
    assert await yard.due() == [], "nothing was uploaded yet"
    await yard.ended(ImportState.COMPLETED, 80 * DAY)
    assert await yard.due() == ["acme"]
    assert await yard.keeper.prune(["acme"]) == []
    assert await yard.due() == []
    yard.keeper._clock = lambda: datetime.now(UTC) + 11 * DAY
    assert await yard.due() == ["acme"]


async def test_copies_of_failed_runs_count_in_kept_bytes_with_those_of_imports(yard: Yard) -> None:
    house = House(yard.stored, yard.tenants.store)
    await run_to(house.queue, await house.upload("x" * 10), ImportState.FAILED)
    yard.stored.unpublish("acme", "/sync_users.csv")
    first, second = [await yard.ended(ImportState.FAILED, size=10) for _ in range(2)]
    waiting = await yard.put(10)

    async def trimmed(kept_bytes: int) -> tuple[set[str], set[str]]:
        failed = await yard.runs.failed("acme")
        archive = yard.tenants.archive
        await trim_copies(
            *(house.queue, "acme", yard.folder), kept_bytes=kept_bytes, failed_runs=failed, archive=archive
        )
        copies = {name for name in yard.files() if name.endswith(".file")}
        return yard.stored.kept_names("acme", "uploads"), copies

    of_run = {number: f"{number}.file" for number in (first, second, waiting)}
    assert await trimmed(30) == ({"1.csv"}, {*of_run.values()})
    assert await trimmed(29) == (set(), {*of_run.values()}), "the import ended first"
    assert await trimmed(19) == (set(), {of_run[second], of_run[waiting]})
    assert await trimmed(0) == (set(), {of_run[waiting]})


async def test_a_copy_of_a_failed_run_that_is_the_visible_file_does_not_count(yard: Yard) -> None:
    number = await yard.ended(ImportState.FAILED, size=10)
    yard.stored.show_copy("acme", "/march.csv", number)
    failed = await yard.runs.failed("acme")
    queue, archive = yard.tenants.store.imports(), yard.tenants.archive
    assert await trim_copies(queue, "acme", yard.folder, kept_bytes=0, failed_runs=failed, archive=archive), (
        "it may be too much soon"
    )
    assert f"{number}.file" in yard.files()


@pytest.mark.parametrize("deletes", ["retention", "kept_bytes"])
async def test_a_run_that_is_run_again_meanwhile_keeps_its_file_or_stays_failed(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, deletes: str
) -> None:
    number = await yard.ended(ImportState.FAILED, 91 * DAY)
    runs, folder, archive, tasks = yard.runs, yard.folder, yard.tenants.archive, []
    read: Any = {"retention": runs.ended_before, "kept_bytes": runs.failed}[deletes]

    async def read_then_rerun(*asked: Any) -> Any:
        found = await read(*asked)
        run = await runs.require("acme", number)
        again = run_again(runs, folder, run, TenantSettings(), Registry([INVOICES]), archive)
        tasks.append(asyncio.create_task(again))
        await asyncio.wait(tasks, timeout=0.5)
        return found

    monkeypatch.setattr(runs, read.__name__, read_then_rerun)
    yard.keeper._runs = runs
    if deletes == "retention":
        await prune_runs(runs, "acme", folder, rfc3339(datetime.now(UTC) - 90 * DAY), archive)
    else:
        await yard.keeper._trim("acme", (await yard.tenants.settings("acme")).model_copy(update={"kept_bytes": 0}))
    with pytest.raises(Refused, match="no longer kept"):
        await tasks[0]
    assert yard.stored.run_copy("acme", number) is None
    assert (await runs.require("acme", number)).state is ImportState.FAILED


async def test_the_server_deletes_copies_above_kept_bytes_when_a_run_ends(yard: Yard) -> None:
    await yard.tenants.change_settings("acme", {"kept_bytes": 10})
    first, second = [await yard.ended(ImportState.FAILED, size=10) for _ in range(2)]
    yard.keeper.start()
    try:
        yard.keeper.run_ended(await yard.runs.require("acme", second))
        await eventually(lambda: yard.stored.run_copy("acme", first) is None)
        assert yard.stored.run_copy("acme", second) is not None
    finally:
        await yard.keeper.stop()
