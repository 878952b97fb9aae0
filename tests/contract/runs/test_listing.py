"""Reads of the runs of hooks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.landing import LandedFile
from engine.runs import RunStore
from engine.store import Store
from importer.model import ImportState
from importer.worker.retention import FailedRun
from tests.support.engines import OpenStore
from tests.support.runs import arrive, end_in, ended, put_in_line, start

EARLY, LATE = "2026-03-01T12:00:00.000Z", "2026-03-02T12:00:00.000Z"


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    async with engine("acme", "globex") as opened:
        yield opened


@pytest.fixture
def runs(store: Store) -> RunStore:
    return store.runs()


async def test_the_store_gives_the_same_runs_always_and_readers_their_own(engine: OpenStore) -> None:
    async with engine("acme", serving=True) as store:
        assert store.runs() is store.runs()
        await put_in_line(store.runs())
        reader = store.looking().runs()
        assert reader is not store.runs()
        assert [each.id for each in await reader.page("acme")] == [1]


async def test_a_page_is_filtered_and_goes_on_from_the_last_id(runs: RunStore) -> None:
    for hook in ("invoices", "scans", "invoices", "invoices"):
        await put_in_line(runs, hook=hook)
    await arrive(runs)
    await put_in_line(runs, "globex")
    await end_in(runs, 1, ImportState.FAILED)
    await end_in(runs, 2, ImportState.FAILED)

    async def page(**asked: object) -> list[int]:
        return [each.id for each in await runs.page("acme", **asked)]  # type: ignore[arg-type]

    assert await page() == [4, 3, 2, 1]
    assert await page(limit=2) == [4, 3]
    assert await page(limit=2, before=3) == [2, 1]
    assert await page(hook="invoices") == [4, 3, 1]
    assert await page(hook="invoices", state=ImportState.FAILED) == [1]
    assert await page(state=ImportState.FAILED) == [2, 1]
    assert await page(state=ImportState.ARRIVING) == [5]


async def test_each_hook_of_each_tenant_has_a_head_unless_it_runs(runs: RunStore) -> None:
    assert await runs.heads() == []
    lines = (("globex", "scans"), ("acme", "invoices"), ("acme", "scans"), ("acme", "invoices"), ("acme", "zip"))
    for tenant, hook in lines:
        await put_in_line(runs, tenant, hook)
    assert [each.key for each in await runs.heads()] == [("globex", 1), ("acme", 1), ("acme", 2), ("acme", 4)]
    await start(runs, 1)
    assert [each.key for each in await runs.heads()] == [("globex", 1), ("acme", 2), ("acme", 4)]
    await runs.requeue(await runs.require("acme", 1), message=None, error=None, not_before=9e9)
    assert [each.key for each in await runs.heads()] == [("globex", 1), ("acme", 1), ("acme", 2), ("acme", 4)]


async def test_the_order_is_that_of_landing_not_of_arriving(runs: RunStore) -> None:
    first, second = await arrive(runs), await arrive(runs)
    await runs.landed("acme", second)
    await runs.landed("acme", first)
    assert [each.id for each in await runs.heads()] == [second]


async def test_a_start_finds_the_runs_that_arrive_or_run(runs: RunStore) -> None:
    await put_in_line(runs, "globex")
    await put_in_line(runs)
    await arrive(runs)
    await start(runs, 1)
    left = [(("acme", 1), "running"), (("acme", 2), "arriving")]
    assert [(each.key, each.state.value) for each in await runs.cut_off()] == left
    assert [(each.key, each.state.value) for each in await runs.at_work_here()] == left


async def test_the_store_has_no_bytes_of_a_file_that_landed_in_steps(runs: RunStore) -> None:
    await put_in_line(runs)
    await arrive(runs)
    assert (await runs.with_landed_files(), await runs.landed_files("acme")) == (set(), [])
    await runs.files_kept([LandedFile("acme", 1, "/invoices/a.csv", b"", 0)])
    assert [each.id for each in await runs.page("acme")] == [1]


async def test_copies_of_waiting_runs_are_needed_and_those_of_failed_ones_kept(runs: RunStore) -> None:
    for size in range(1, 6):
        await put_in_line(runs, size=size)
    await arrive(runs, size=6)
    await put_in_line(runs, "globex")
    await end_in(runs, 1, ImportState.FAILED, at=LATE)
    await end_in(runs, 2, ImportState.COMPLETED)
    await end_in(runs, 3, ImportState.FAILED, at=EARLY)
    await start(runs, 4)
    assert sorted(await runs.copies_needed("acme")) == [(4, 4), (5, 5)]
    assert await runs.failed("acme") == [FailedRun(1, LATE), FailedRun(3, EARLY)]
    assert (await runs.failed_bytes("acme"), await runs.failed_bytes("globex")) == (4, 0)


async def test_a_report_is_owed_until_it_shows_the_state(runs: RunStore) -> None:
    await put_in_line(runs)
    run = ended(await start(runs, 1), ImportState.FAILED)
    assert await runs.unpublished() == []
    await runs.finish(run, published=False)
    assert await runs.unpublished() == await runs.unpublished("acme") == [run]
    assert await runs.unpublished("globex") == []
    assert await runs.unpublished(without=["globex"]) == [run]
    assert await runs.unpublished(without=["globex", "acme"]) == []
    assert await runs.newest_published("acme", "invoices", 9) == []
    await runs.published(run)
    assert await runs.unpublished() == []
    await runs.rerun("acme", 1)
    assert await runs.unpublished() == []
    await runs.finish(ended(await start(runs, 1), ImportState.FAILED), published=False)
    assert [each.id for each in await runs.unpublished()] == [1]


async def test_the_newest_reports_are_those_of_one_hook(runs: RunStore) -> None:
    for hook in ("invoices", "scans", "invoices", "invoices"):
        await end_in(runs, await put_in_line(runs, hook=hook), ImportState.COMPLETED)
    assert await runs.newest_published("acme", "invoices", 2) == [4, 3]
    assert await runs.newest_published("acme", "scans", 2) == [2]


async def test_runs_that_ended_before_a_time_come_oldest_first(runs: RunStore) -> None:
    assert await runs.first_end("acme") is None
    for at in (LATE, EARLY, LATE):
        await end_in(runs, await put_in_line(runs), ImportState.COMPLETED, at=at)
    await put_in_line(runs)
    assert [await runs.first_end("acme", since) for since in ("", EARLY, LATE, "2027")] == [EARLY, EARLY, LATE, None]
    assert await runs.ended_before("acme", LATE) == [(2, "invoices")]
    assert [number for number, _ in await runs.ended_before("acme", "2027")] == [2, 1, 3]
    assert await runs.ended_before("globex", "2027") == []


async def test_the_newest_failures_are_of_all_tenants(runs: RunStore) -> None:
    for tenant in ("acme", "globex", "acme"):
        await end_in(runs, await put_in_line(runs, tenant), ImportState.FAILED, tenant)
    await end_in(runs, await put_in_line(runs), ImportState.COMPLETED)
    assert [each.key for each in await runs.newest_failures(2)] == [("acme", 2), ("globex", 1)]


async def test_runs_that_are_queued_or_run_are_counted_by_hook(runs: RunStore) -> None:
    for hook in ("invoices", "scans", "invoices"):
        await put_in_line(runs, hook=hook)
    await put_in_line(runs, "globex")
    await arrive(runs)
    await end_in(runs, 2, ImportState.COMPLETED)
    await start(runs, 1)
    assert await runs.counts() == {("acme", "invoices"): 2, ("globex", "invoices"): 1}


async def test_the_paths_of_a_module_are_those_of_its_last_load(runs: RunStore) -> None:
    await runs.remember("bills", [("invoices", "/invoices/*.csv"), ("credits", "/credits/*.csv")])
    await runs.remember("scans", [("scans", "/scans/*")])
    await runs.remember("bills", [("invoices", "/bills/*.csv")])
    assert await runs.remembered("bills") == [("invoices", "/bills/*.csv")]
    assert await runs.remembered("scans") == [("scans", "/scans/*")]
    assert await runs.remembered("other") == []
