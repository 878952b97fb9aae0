"""How a start of the server repairs the runs that the previous process left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.runs import Run
from headcount.hooks import Result
from importer.errors import TryAgain
from importer.model import ImportState
from server.runs.ends import ATTEMPTS, Again, Done, Failed
from server.runs.recovery import recover_runs, remove_run_leftovers
from tests.support.run_house import RunHouse


async def start(house: RunHouse) -> None:
    await recover_runs(house.runs, house.ending, house.folder, archive=house.archive)
    await remove_run_leftovers(house.runs, "acme", house.folder(), house.archive)


async def state(house: RunHouse, run: Run) -> ImportState:
    return (await house.found(run)).state


def publish(house: RunHouse, run: Run) -> None:
    """Make the visible file, as the last step that a client sees does."""
    house.stored.show_copy(run.tenant, run.path, run.id)


@pytest.mark.logs("run_recovered")
async def test_a_file_that_became_visible_is_queued_for_its_hook(house: RunHouse) -> None:
    run = await house.arrive()
    publish(house, run)
    await start(house)
    assert await state(house, run) is ImportState.QUEUED
    assert house.copy(run.id) is not None


async def test_a_file_that_did_not_become_visible_is_aborted(house: RunHouse) -> None:
    old = await house.arrive("old\n")
    publish(house, old)
    await house.runs.landed(*old.key)
    new = await house.arrive("new\n")
    await start(house)
    assert await state(house, old) is ImportState.QUEUED
    assert await state(house, new) is ImportState.ABORTED
    assert house.copy(new.id) is None
    assert house.shown(new)["state"] == "aborted"
    assert await house.told() == [f"run {new.id} aborted"]


async def test_a_promise_without_a_copy_is_aborted(house: RunHouse) -> None:
    run = await house.arrive()
    house.stored.drop("acme", f"runs/{run.id}.file")
    await start(house)
    assert await state(house, run) is ImportState.ABORTED


async def test_a_run_that_was_running_is_queued_again_and_the_attempt_counts(house: RunHouse) -> None:
    run = await house.upload()
    for attempts in range(1, ATTEMPTS):
        begun = await house.start(run)
        house.report(begun, "half.csv")
        await start(house)
        found = await house.found(run)
        assert (found.state, found.attempts, found.not_before) == (ImportState.QUEUED, attempts, 0.0)
        assert house.stored.kept_names("acme", "runs") == {f"{run.id}.file"}


async def test_a_run_is_given_up_after_five_attempts_that_a_stop_cut_off(house: RunHouse) -> None:
    run = await house.upload()
    for _ in range(ATTEMPTS):
        await house.start(run)
        await start(house)
    found = await house.found(run)
    assert (found.state, found.error) == (ImportState.FAILED, "the server stopped during 5 attempts")
    assert house.shown(run)["message"].startswith("The server stopped 5 times during this run.")
    assert house.copy(run.id) is not None, "it can be run again"


async def test_only_the_runs_that_are_named_are_recovered(house: RunHouse) -> None:
    first, second = await house.upload(), await house.upload(hook="scans")
    for run in (first, second):
        await house.start(run)
    await recover_runs(house.runs, house.ending, house.folder, [await house.found(second)], house.archive)
    assert await state(house, first) is ImportState.RUNNING
    assert await state(house, second) is ImportState.QUEUED


async def test_a_second_recovery_changes_nothing(house: RunHouse) -> None:
    publish(house, await house.arrive())
    await house.arrive("interrupted\n")
    await house.start(await house.upload(hook="scans"))
    await start(house)
    before = await house.runs.page("acme")
    files = house.stored.kept_names("acme", "runs")
    await start(house)
    assert await house.runs.page("acme") == before
    assert house.stored.kept_names("acme", "runs") == files


async def test_a_recovery_that_was_interrupted_is_finished_by_the_next(
    house: RunHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await house.arrive("first\n"), await house.arrive("second\n")
    publish(house, first)
    running = await house.start(await house.upload(hook="scans"))
    left, end_upload = await house.runs.cut_off(), house.runs.end_upload

    async def full(*arguments: Any, **named: Any) -> bool:
        raise TryAgain("disk_full", "the disk is full")

    monkeypatch.setattr(house.runs, "end_upload", full)
    with pytest.raises(TryAgain):
        await recover_runs(house.runs, house.ending, house.folder, left, house.archive)
    assert await state(house, first) is ImportState.QUEUED
    monkeypatch.setattr(house.runs, "end_upload", end_upload)
    await house.start(await house.found(first))
    await recover_runs(house.runs, house.ending, house.folder, left, house.archive)
    assert await state(house, first) is ImportState.RUNNING, "its hook got it in between"
    assert await state(house, second) is ImportState.ABORTED
    assert await state(house, running) is ImportState.QUEUED
    assert await house.told() == [f"run {second.id} aborted"]


async def test_copies_that_no_run_needs_are_deleted(house: RunHouse) -> None:
    done, failed, queued = [await house.upload(hook=hook) for hook in ("done", "failed", "queued")]
    await house.ending.finish(await house.start(done), Done(Result()))
    await house.ending.finish(await house.start(failed), Failed("It failed."))
    house.stored.keep("acme", "runs/stray", b"x")
    for number in (done.id, 77):
        house.stored.keep_run_copy("acme", number, b"left by a crash")
    reports = [house.folder().run_reports(number) for number in (done.id, 77, queued.id)]
    for each in reports:
        each.mkdir(exist_ok=True)
    await start(house)
    assert house.stored.kept_names("acme", "runs") == {f"{failed.id}.file", f"{queued.id}.file"}
    assert not any(each.exists() for each in reports)


async def test_reports_that_results_is_owed_stay(house: RunHouse) -> None:
    run = await house.upload()
    begun = await house.start(run)
    house.report(begun, "sums.csv")
    ended = replace(begun, state=ImportState.COMPLETED, finished_at=begun.uploaded_at)
    assert await house.runs.finish(ended, published=False)
    await start(house)
    assert house.folder().run_reports(run.id).is_dir()
    await house.ending.catch_up()
    assert f"invoices-{run.id}.sums.csv" in house.in_results()


async def test_the_wait_of_a_run_goes_on_after_a_start(house: RunHouse) -> None:
    run = await house.upload()
    await house.ending.finish(await house.start(run), Again("Later.", "ValueError", after_s=99.0))
    before = await house.found(run)
    await start(house)
    assert await house.found(run) == before


async def test_a_tenant_without_a_folder_of_runs_has_no_leftovers(house: RunHouse) -> None:
    folder = house.folder()
    if folder.runs.exists():
        folder.runs.rmdir()
    await remove_run_leftovers(house.runs, "acme", folder, house.archive)
    assert not folder.runs.exists()
