"""Hooks that run when the server stops: they end within the grace time, or are run again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.runs import Run
from headcount.hooks import Result
from importer.model import ImportState
from server.runs import attempts, runner
from server.runs.ends import Again, Done, End, Failed
from server.runs.python.calling import Calling, Workshop
from server.runs.registry import Attempt
from tests.support.hook_modules import attempt_of, load_hook
from tests.support.run_stage import FINE, Stage
from tests.support.waiting import eventually


async def test_a_hook_that_ends_within_the_grace_time_is_not_run_again(stage: Stage) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(attempt: Attempt) -> End:
        begun.set()
        await go.wait()
        return FINE

    played = stage.play(wait)
    run, next_ = await stage.house.upload(), await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    stopping = asyncio.create_task(stage.runner.stop(60))
    await eventually(lambda: not stage.runner.alive)
    go.set()
    await stopping
    assert (await stage.house.found(run)).state is ImportState.COMPLETED
    assert (await stage.house.found(next_)).state is ImportState.QUEUED
    assert played.seen == [("acme", 1)]


async def test_a_hook_that_a_stop_ends_is_run_again_and_the_attempt_does_not_count(stage: Stage) -> None:
    begun, cancelled = asyncio.Event(), []

    async def hang(attempt: Attempt) -> End:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(attempt.run_id)
            raise
        return FINE

    stage.play(hang)
    run = await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    await stage.runner.stop(0)
    left = await stage.house.found(run)
    assert (left.state, left.attempts, cancelled) == (ImportState.QUEUED, 0, [1])
    played = stage.play()
    stage.runner = stage.make()
    stage.runner.start()
    assert (await stage.ended(run)).attempts == 1
    assert played.seen == [("acme", 1)]


@pytest.mark.parametrize(
    "end",
    [
        Again("The program crashed.", "ended by SIGTERM", by_signal=True),
        Again("No answer."),
        Failed("Exit code 143."),
    ],
)
async def test_a_failure_while_the_server_stops_does_not_count(stage: Stage, end: End) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def fail(attempt: Attempt) -> End:
        begun.set()
        await go.wait()
        return end

    stage.play(fail)
    run = await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    stopping = asyncio.create_task(stage.runner.stop(60))
    await eventually(lambda: not stage.runner.alive)
    go.set()
    await stopping
    left = await stage.house.found(run)
    assert (left.state, left.attempts, left.not_before) == (ImportState.QUEUED, 0, 0.0)


async def test_a_signal_that_comes_before_the_stop_of_the_server_does_not_count(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STOP_FOLLOWS_S", 60.0)  # on a busy machine the stop may follow late
    ended = asyncio.Event()

    async def fail(attempt: Attempt) -> End:
        ended.set()
        return Again("The program crashed.", "ended by SIGTERM", by_signal=True)

    stage.play(fail)
    run = await stage.house.upload()
    stage.runner.start()
    await ended.wait()
    for _ in range(20):  # the runner has got the end by then
        await asyncio.sleep(0)
    await stage.runner.stop(60)
    assert (await stage.house.found(run)).attempts == 0


async def test_a_run_that_is_just_being_started_at_a_stop_is_not_given_to_its_hook(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, claiming, go = stage.house.runs.claim, asyncio.Event(), asyncio.Event()

    async def slowly(*key: Any, **facts: Any) -> Run | None:
        claiming.set()
        await go.wait()
        return await claim(*key, **facts)

    monkeypatch.setattr(stage.house.runs, "claim", slowly)
    played = stage.play()
    run = await stage.house.upload()
    stage.runner.start()
    await claiming.wait()
    stage.runner.hurry()
    go.set()
    await stage.runner.stop(60)
    left = await stage.house.found(run)
    assert (left.state, left.attempts, played.seen) == (ImportState.QUEUED, 0, [])


async def test_a_wait_that_a_hook_asks_for_counts_while_the_server_stops(stage: Stage) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def later(attempt: Attempt) -> End:
        begun.set()
        await go.wait()
        return Again("The bank is closed.", "Retry", 90.0)

    stage.play(later)
    run = await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    stopping = asyncio.create_task(stage.runner.stop(60))
    await eventually(lambda: not stage.runner.alive)
    go.set()
    await stopping
    assert (await stage.house.found(run)).attempts == 1


async def test_a_second_signal_ends_a_hook_at_once(stage: Stage) -> None:
    begun = asyncio.Event()

    async def hang(attempt: Attempt) -> End:
        begun.set()
        await asyncio.Event().wait()
        return FINE

    stage.play(hang)
    run = await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    stopping = asyncio.create_task(stage.runner.stop(3600))
    await eventually(lambda: not stage.runner.alive)
    stage.runner.hurry()
    await stopping
    assert (await stage.house.found(run)).state is ImportState.QUEUED


async def test_a_hook_that_ignores_its_end_does_not_hold_the_stop(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "CANCEL_S", 0.05)
    begun, go = asyncio.Event(), asyncio.Event()

    async def stubborn(attempt: Attempt) -> End:
        begun.set()
        while not go.is_set():
            with suppress(asyncio.CancelledError):
                await go.wait()
        return FINE

    stage.play(stubborn)
    run = await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    await stage.runner.stop(0)
    assert (await stage.house.found(run)).state is ImportState.QUEUED
    go.set()


def waiting_hook(folder: Path, workshop: Workshop, then: str) -> Calling:
    """Return an async hook that waits for ever, and does `then` when it is canceled."""
    code = f"""
    async def check(upload):
        Path({str(folder)!r}, "begun").touch()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    @hook("/invoices/*.csv", name="invoices", accept=check)
    async def invoices(delivery):
        Path({str(folder)!r}, "begun").touch()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            {then}
    """
    return load_hook(folder, code, workshop)


async def test_an_async_hook_that_finishes_when_a_stop_ends_it_is_not_run_again(
    stage: Stage, workshop: Workshop, tmp_path: Path
) -> None:
    stage.play(waiting_hook(tmp_path, workshop, "return Result('Committed.')").deliver)
    run = await stage.house.upload()
    stage.runner.start()
    await eventually((tmp_path / "begun").exists)
    await stage.runner.stop(0)
    found = await stage.house.found(run)
    assert (found.state, found.message, found.attempts) == (ImportState.COMPLETED, "Committed.", 1)


async def test_an_async_hook_that_a_stop_makes_fail_is_run_again(
    stage: Stage, workshop: Workshop, tmp_path: Path
) -> None:
    stage.play(waiting_hook(tmp_path, workshop, "raise ValueError('closed')").deliver)
    run = await stage.house.upload()
    stage.runner.start()
    await eventually((tmp_path / "begun").exists)
    await stage.runner.stop(0)
    found = await stage.house.found(run)
    assert (found.state, found.attempts) == (ImportState.QUEUED, 0)


async def test_an_async_hook_that_returns_just_before_the_stop_has_ended(workshop: Workshop, tmp_path: Path) -> None:
    code = """
    @hook("/invoices/*.csv", name="invoices")
    async def invoices(delivery):
        delivering.cancel()
        return Result("Committed.")
    """
    calling = load_hook(tmp_path, code, workshop)
    delivering = asyncio.create_task(calling.deliver(attempt_of(tmp_path)))
    calling.declared.function.__globals__["delivering"] = delivering
    await asyncio.wait([delivering])
    assert delivering.result() == Done(Result("Committed."))


async def test_a_check_that_is_canceled_accepts_nothing(workshop: Workshop, tmp_path: Path) -> None:
    """It may have returned because it was canceled, and not because the file is good."""
    calling = waiting_hook(tmp_path, workshop, "raise")
    accepting = asyncio.create_task(calling.accept("acme", "/invoices/a.csv", 1, tmp_path / "draft"))
    await eventually((tmp_path / "begun").exists)
    accepting.cancel()
    await asyncio.wait([accepting])
    assert accepting.cancelled()
