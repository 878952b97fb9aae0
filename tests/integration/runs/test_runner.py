"""The loop that runs hooks: in order, beside each other, until they succeed."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from engine.runs import Run
from headcount.hooks import Result
from importer.errors import TryAgain
from importer.model import ImportState
from server.runs import runner as runner_module
from server.runs.ends import ATTEMPTS, Again, Done, End, Failed
from server.runs.registry import Attempt
from server.runs.runner import AT_ONCE, MISSING, NEVER_HOOK, NO_HOOK, NOT_WRITTEN
from tests.support.run_house import RunHouse
from tests.support.run_stage import FINE, Stage
from tests.support.waiting import eventually


async def test_a_hook_gets_the_facts_of_its_file(stage: Stage) -> None:
    contents: list[bytes] = []

    async def read(attempt: Attempt) -> End:
        contents.append(attempt.copy.read_bytes())
        (attempt.reports / "seen.txt").write_text("seen")
        return Done(Result("Read.", {"rows": 1}))

    played = stage.play(read)
    stage.settings["acme", "invoices"] = {"ledger": "A"}
    run = await stage.house.upload("net\n1\n")
    stage.runner.start()
    ended = await stage.ended(run)
    assert (ended.state, ended.message) == (ImportState.COMPLETED, "Read.")
    attempt = played.attempts[0]
    assert (attempt.tenant, attempt.hook, attempt.path, attempt.size) == ("acme", "invoices", "/invoices/a.csv", 6)
    assert (attempt.run_id, attempt.attempt, attempt.settings) == (1, 1, {"ledger": "A"})
    assert attempt.uploaded_at == "2026-03-01T12:00:00.000Z"
    assert contents == [b"net\n1\n"]
    assert attempt.sha256 == ended.sha256 == hashlib.sha256(b"net\n1\n").hexdigest()
    assert stage.house.in_results() == ["invoices-1.json", "invoices-1.seen.txt"]


async def test_runs_of_one_hook_and_tenant_follow_each_other(stage: Stage) -> None:
    at_once, most = 0, 0

    async def slowly(attempt: Attempt) -> End:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(20):
            await asyncio.sleep(0)
        at_once -= 1
        return FINE

    played = stage.play(slowly)
    runs = [await stage.house.upload() for _ in range(10)]
    stage.runner.start()
    await stage.ended(runs[-1])
    assert played.seen == [("acme", run.id) for run in runs]
    assert most == 1


async def test_other_hooks_and_tenants_do_not_wait_for_one_that_hangs(stage: Stage) -> None:
    hangs = asyncio.Event()

    async def hang(attempt: Attempt) -> End:
        if attempt.tenant == "acme":
            await hangs.wait()
        return FINE

    stage.play(hang)
    stage.play(hook="scans")
    first, second = await stage.house.upload(), await stage.house.upload()
    others = [await stage.house.upload(tenant="globex"), await stage.house.upload(hook="scans")]
    stage.runner.start()
    for run in others:
        assert (await stage.ended(run)).state is ImportState.COMPLETED
    assert (await stage.reached(first, lambda run: run.attempts == 1)).state is ImportState.RUNNING
    assert (await stage.house.found(second)).state is ImportState.QUEUED
    hangs.set()
    await stage.ended(second)


async def test_a_file_that_arrives_while_the_server_runs_is_run_at_once(stage: Stage) -> None:
    stage.play()
    stage.runner.start()
    assert (await stage.ended(await stage.house.upload())).state is ImportState.COMPLETED


async def test_those_behind_a_failed_attempt_wait_for_the_next_one(stage: Stage) -> None:
    async def fail_once(attempt: Attempt) -> End:
        return Again("The bank is closed.", "Retry") if (attempt.run_id, attempt.attempt) == (1, 1) else FINE

    played = stage.play(fail_once)
    first, second = await stage.house.upload(), await stage.house.upload()
    stage.runner.start()
    waiting = await stage.reached(first, lambda run: run.not_before > 0)
    assert (waiting.state, waiting.message) == (ImportState.QUEUED, "The bank is closed.")
    assert (await stage.house.found(second)).state is ImportState.QUEUED
    assert played.seen == [("acme", 1)]
    stage.house.clock.pass_(10)
    await stage.ended(second)
    assert played.seen == [("acme", 1), ("acme", 1), ("acme", 2)]
    assert [attempt.attempt for attempt in played.attempts] == [1, 2, 1]


async def test_what_a_failed_attempt_reported_is_not_in_results(stage: Stage) -> None:
    async def report(attempt: Attempt) -> End:
        (attempt.reports / f"{attempt.attempt}.txt").touch()
        return Again("Later.", after_s=0.0) if attempt.attempt == 1 else FINE

    stage.play(report)
    run = await stage.house.upload()
    stage.runner.start()
    await stage.ended(run)
    assert stage.house.in_results() == ["invoices-1.2.txt", "invoices-1.json"]


async def test_after_five_failed_attempts_the_next_file_follows(stage: Stage) -> None:
    async def fail(attempt: Attempt) -> End:
        return Again("The hook failed.", "KeyError: 'net'") if attempt.run_id == 1 else FINE

    played = stage.play(fail)
    first, second = await stage.house.upload(), await stage.house.upload()
    stage.runner.start()
    for attempt, seconds in enumerate((10, 60, 300, 1800), 1):
        await stage.reached(first, lambda run, n=attempt: run.attempts == n and run.state is ImportState.QUEUED)  # type: ignore[misc]
        stage.house.clock.pass_(seconds)
    ended = await stage.ended(first)
    assert (ended.state, ended.attempts, ended.error) == (ImportState.FAILED, ATTEMPTS, "KeyError: 'net'")
    assert (await stage.ended(second)).state is ImportState.COMPLETED
    assert played.seen == [*[("acme", 1)] * ATTEMPTS, ("acme", 2)]


async def test_a_rerun_follows_those_that_wait(stage: Stage) -> None:
    async def fail_first(attempt: Attempt) -> End:
        return Failed("The command ended with exit code 3.") if len(played.attempts) == 1 else FINE

    played = stage.play(fail_first)
    first = await stage.house.upload()
    stage.runner.start()
    await stage.ended(first)
    second = await stage.house.upload()
    await stage.house.runs.rerun("acme", first.id)
    ended = await stage.reached(first, lambda run: run.state is ImportState.COMPLETED)
    assert ended.attempts == 1
    assert (await stage.ended(second)).state is ImportState.COMPLETED
    assert played.seen == [("acme", 1), ("acme", 2), ("acme", 1)]


async def test_a_hook_runs_for_a_limited_number_of_tenants_at_once(house: RunHouse) -> None:
    names = [f"t{number}" for number in range(AT_ONCE + 2)]
    for name in names:
        house.stored.add(name)
    stage, go = Stage(house), asyncio.Event()

    async def wait(attempt: Attempt) -> End:
        await go.wait()
        return FINE

    played = stage.play(wait)
    stage.play(hook="scans")
    runs = [await house.upload(tenant=name) for name in names]
    stage.runner.start()
    await stage.ended(await house.upload(hook="scans"))
    await eventually(lambda: len(played.attempts) == AT_ONCE)
    go.set()
    for run in runs:
        await stage.ended(run)
    await stage.runner.stop(0)


async def test_a_run_that_failed_before_lets_those_of_other_tenants_go_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang."""
    monkeypatch.setattr(runner_module, "AT_ONCE", 1)
    played = stage.play()
    failed, other = await stage.house.upload(), await stage.house.upload(tenant="globex")
    begun = await stage.house.runs.claim(*failed.key, sha256=None)
    assert begun
    await stage.house.runs.requeue(begun, message=None, error=None, not_before=0.0)
    stage.runner.start()
    for run in (failed, other):
        await stage.ended(run)
    assert played.seen == [other.key, failed.key]


async def test_runs_of_a_tenant_that_cannot_be_written_wait(stage: Stage) -> None:
    played = stage.play()
    stage.why_not["acme"] = "the disk is full"
    waiting, other = await stage.house.upload(), await stage.house.upload(tenant="globex")
    stage.runner.start()
    await stage.ended(other)
    assert played.seen == [("globex", 1)]
    del stage.why_not["acme"]
    assert (await stage.ended(waiting)).attempts == 1


@pytest.mark.logs("hook_missing")
async def test_runs_of_a_hook_that_the_server_does_not_have_wait_for_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LATER_S", 0.1)
    stage.play(hook="scans")
    waiting, behind = await stage.house.upload(), await stage.house.upload()
    stage.runner.start()
    await stage.ended(await stage.house.upload(hook="scans"))
    for run in (waiting, behind):
        assert (await stage.reached(run, lambda run: run.message == NO_HOOK)).state is ImportState.QUEUED
    stage.play()
    for run in (waiting, behind):
        ended = await stage.ended(run)
        assert (ended.state, ended.message, ended.attempts) == (ImportState.COMPLETED, None, 1)


async def test_runs_of_a_hook_that_stays_away_fail_when_their_files_are_too_old(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LATER_S", 0.1)
    runs = [await stage.house.upload() for _ in range(3)]
    stage.house.clock.pass_(90 * 86_400)
    stage.runner.start()
    await stage.reached(runs[0], lambda run: run.message == NO_HOOK)
    stage.house.clock.pass_(1)
    for run in runs:
        ended = await stage.ended(run)
        assert (ended.state, ended.message) == (ImportState.FAILED, NEVER_HOOK)
        assert stage.house.shown(run)["message"] == NEVER_HOOK
    assert await stage.house.runs.copies_needed("acme") == []
    assert await stage.house.told() == [f"run {run.id} failed" for run in runs]


async def test_a_run_whose_copy_is_missing_fails(stage: Stage) -> None:
    played = stage.play()
    run, next_ = await stage.house.upload(), await stage.house.upload()
    stage.house.stored.drop("acme", f"runs/{run.id}.file")
    stage.runner.start()
    ended = await stage.ended(run)
    assert (ended.state, ended.message) == (ImportState.FAILED, MISSING)
    await stage.ended(next_)
    assert played.seen == [("acme", 2)]


@pytest.mark.logs("run_left")
async def test_a_run_whose_copy_cannot_be_read_waits(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "LATER_S", 0.1)
    stage.play()
    run = await stage.house.upload()
    with stage.house.stored.unreadable("acme", "runs"):
        stage.runner.start()
        await eventually(lambda: bool(stage.runner._put_off))
        assert (await stage.house.found(run)).attempts == 0
    assert (await stage.ended(run)).attempts == 1


@pytest.mark.logs("run_fault")
async def test_an_internal_error_counts_as_a_failed_attempt(stage: Stage) -> None:
    async def broken(attempt: Attempt) -> End:
        raise RuntimeError("broken")

    stage.play(broken)
    run = await stage.house.upload()
    stage.runner.start()
    waiting = await stage.reached(run, lambda run: run.not_before > 0)
    assert (waiting.attempts, waiting.error) == (1, "RuntimeError")


@pytest.mark.logs("run_end_owed")
async def test_an_end_that_cannot_be_written_is_written_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, failures = stage.house.runs.finish, []

    async def busy_once(*arguments: Any, **named: Any) -> bool:
        if not failures:
            failures.append(True)
            raise TryAgain("database_busy", "another process holds the database")
        return await finish(*arguments, **named)

    monkeypatch.setattr(stage.house.runs, "finish", busy_once)
    played = stage.play()
    run = await stage.house.upload()
    stage.runner.start()
    assert (await stage.ended(run)).state is ImportState.COMPLETED
    assert played.seen == [("acme", 1)]


@pytest.mark.logs("run_fault")
async def test_an_end_that_cannot_be_stored_fails_the_run_and_the_next_follows(stage: Stage) -> None:
    async def count(attempt: Attempt) -> End:
        return Done(Result(counts={"rows": 10**5000})) if attempt.run_id == 1 else FINE

    played = stage.play(count)
    first, second = await stage.house.upload(), await stage.house.upload()
    stage.runner.start()
    ended = await stage.ended(first)
    assert (ended.state, ended.message, ended.error) == (ImportState.FAILED, NOT_WRITTEN, "ValueError")
    assert (ended.outcome, stage.house.shown(first)["counts"]) == (None, {})
    assert (await stage.ended(second)).state is ImportState.COMPLETED
    assert played.seen == [("acme", 1), ("acme", 2)]


@pytest.mark.logs("runs_wait", "runner_fault")
async def test_a_search_that_fails_is_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    heads, errors = stage.house.runs.heads, [TryAgain("database_busy", "busy"), RuntimeError("broken")]

    async def failing() -> list[Run]:
        if errors:
            raise errors.pop()
        return await heads()

    monkeypatch.setattr(stage.house.runs, "heads", failing)
    stage.play()
    run = await stage.house.upload()
    stage.runner.start()
    await stage.ended(run)


async def test_a_run_of_a_removed_tenant_ends_without_a_trace(stage: Stage) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(attempt: Attempt) -> End:
        begun.set()
        await go.wait()
        return FINE

    stage.play(wait)
    await stage.house.upload()
    stage.runner.start()
    await begun.wait()
    await stage.house.store.tenants().remove("acme")
    go.set()
    await stage.ended(await stage.house.upload(tenant="globex"))
    assert stage.house.in_results() == []


async def test_a_report_that_could_not_be_written_is_written_while_no_hook_runs(stage: Stage) -> None:
    stage.play()
    run = await stage.house.upload()
    with stage.house.stored.without_results("acme"):
        stage.runner.start()
        await stage.ended(run)
    assert stage.house.shown(run) is None
    stage.house.clock.pass_(60)
    await eventually(lambda: stage.house.shown(run))
