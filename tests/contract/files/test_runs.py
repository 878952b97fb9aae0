"""Runs of hooks and their files: the copy is there for each attempt, and what was reported is in /results."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from engine.runs import Run
from ground.moments import rfc3339
from headcount.hooks import Result
from importer.errors import Refused
from importer.model import ImportState
from server.runs.again import run_again
from server.runs.ending import Ending
from server.runs.ends import Done, End, Failed
from server.runs.recovery import recover_runs, remove_run_leftovers
from server.runs.registry import Attempt, RegisteredHook, Registry
from server.runs.runner import Runner
from server.tenants.settings import TenantSettings
from server.upkeep.expired_runs import prune_runs
from tests.support.archives import House, OpenHouse
from tests.support.queues import NOON
from tests.support.run_stage import Played
from tests.support.runs import put_in_line
from tests.support.waiting import eventually

REGISTRY = Registry([RegisteredHook("invoices", "/invoices/*.csv", "acme")])
FINE = Done(Result())


class Process:
    """One process: it runs the hook `invoices` for `acme`, and ends its runs."""

    def __init__(self, house: House, end: End = FINE) -> None:
        self.house = house
        self.store = house.store.runs()
        self.read: list[bytes] = []
        self.end = end
        self.hook = Played(self.play)
        self.ending = Ending(
            self.store, lambda _: house.folder, lambda _: None, archive=house.archive, results=house.results
        )
        self.runner = Runner(
            *(self.store, self.ending, lambda _: house.folder, lambda _: self.hook, self.settings, self.days),
            archive=house.archive,
        )

    async def play(self, attempt: Attempt) -> End:
        self.read.append(attempt.copy.read_bytes())
        (attempt.reports / "sums.csv").write_text("3")
        return self.end

    async def settings(self, tenant: str, hook: str) -> dict[str, object]:
        return {}

    async def days(self, tenant: str) -> int:
        return 90

    async def upload(self, *, kept: bool = True) -> int:
        """Queue a file whose copy is kept."""
        number, folder = await put_in_line(self.store), self.house.folder
        if kept:
            async with self.house.archive.making(folder) as made:
                made.runs.mkdir(exist_ok=True)
                made.run_copy(number).write_bytes(b"bytes")
                await self.house.archive.keep(made, made.run_copy(number))
        return number

    async def run(self, number: int) -> Run:
        """Run what waits, until this run has ended."""

        async def over() -> bool:
            return (await self.store.require("acme", number)).finished_at is not None

        self.runner.start()
        await eventually(over)
        await self.runner.stop(10)
        return await self.store.require("acme", number)

    async def copies(self) -> list[str]:
        return sorted(await self.house.archive.names(self.house.folder, self.house.folder.runs))

    async def again(self, number: int) -> Run:
        run, folder = await self.store.require("acme", number), self.house.folder
        return await run_again(self.store, folder, run, TenantSettings(), REGISTRY, self.house.archive)


@pytest.fixture
def process(house: House) -> Process:
    return Process(house)


async def test_a_run_reads_its_copy_in_another_process(open_house: OpenHouse) -> None:
    async with open_house() as house:
        number = await Process(house).upload()
    async with open_house() as house:
        process = Process(house)
        assert (await process.run(number)).state is ImportState.COMPLETED
        assert process.read == [b"bytes"]
        assert await process.copies() == []
        shown = await house.in_results()
        assert shown.keys() == {"invoices-1.json", "invoices-1.sums.csv"}
        assert shown["invoices-1.sums.csv"] == b"3"
        assert json.loads(shown["invoices-1.json"])["state"] == "completed"
        assert not house.folder.run_reports(number).exists()


async def test_a_failed_run_keeps_its_copy_for_another_process(open_house: OpenHouse) -> None:
    async with open_house() as house:
        process = Process(house, Failed("No."))
        number = await process.upload()
        assert (await process.run(number)).state is ImportState.FAILED
    async with open_house() as house:
        process = Process(house)
        assert await process.copies() == ["1.file"]
        await process.again(number)
        assert (await process.run(number)).state is ImportState.COMPLETED
        assert process.read == [b"bytes"]


async def test_a_run_whose_copy_is_missing_fails(process: Process) -> None:
    process.house.folder.runs.mkdir(parents=True, exist_ok=True)
    number = await process.upload(kept=False)
    run = await process.run(number)
    assert (run.state, run.error) == (ImportState.FAILED, "the copy of the file is missing")
    with pytest.raises(Refused, match="no longer kept"):
        await process.again(number)


async def test_a_start_drops_the_copies_that_no_run_needs(process: Process) -> None:
    house = process.house
    ended, waiting = await process.upload(), await process.upload()
    run = await process.store.claim("acme", ended, sha256="ab" * 32)
    assert run
    await process.ending.finish(run, FINE)
    async with house.archive.making(house.folder) as made:
        made.runs.mkdir(exist_ok=True)
        for number in (ended, 77):
            made.run_copy(number).write_bytes(b"left")
        await house.archive.keep(made, made.run_copy(ended), made.run_copy(77))
    await recover_runs(process.store, process.ending, lambda _: house.folder, archive=house.archive)
    await remove_run_leftovers(process.store, "acme", house.folder, house.archive)
    assert await process.copies() == [f"{waiting}.file"]


async def test_expired_runs_lose_their_copies(process: Process) -> None:
    process.end = Failed("No.")
    number = await process.upload()
    await process.run(number)
    far = NOON + timedelta(days=36500)
    await prune_runs(process.store, "acme", process.house.folder, rfc3339(far), process.house.archive)
    assert await process.copies() == []
