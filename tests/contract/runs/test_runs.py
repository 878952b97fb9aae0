"""The runs of hooks on a real database: every change of state, and what is stored with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from engine.runs import Run, RunOutcome, RunStore
from engine.store import Store
from engine.tenants import Tenant
from importer.errors import Refused
from importer.model import INTEGER_MAX, ImportState
from importer.queue.notices import Channel, Notice
from importer.queue.states import CLAIM, FINISH_RUN, LAND, NEVER_RUN, OF_RUNS, REQUEUE, RERUN, RUN_STATES, Step
from tests.support.engines import SINCE, OpenStore
from tests.support.queues import NOON, enqueue
from tests.support.runs import OUTCOME, SHA256, arrive, end_in, ended, put_in_line, start


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    async with engine("acme", "globex") as opened:
        yield opened


@pytest.fixture
def runs(store: Store) -> RunStore:
    return store.runs()


async def state_of(runs: RunStore, number: int) -> ImportState:
    return (await runs.require("acme", number)).state


async def test_ids_count_from_one_for_each_tenant_beside_those_of_imports(runs: RunStore, store: Store) -> None:
    assert await enqueue(store.imports()) == 1
    assert [await arrive(runs), await arrive(runs, hook="scans"), await arrive(runs, "globex")] == [1, 2, 1]
    assert await enqueue(store.imports()) == 2


async def test_no_id_is_used_twice(runs: RunStore) -> None:
    await end_in(runs, await put_in_line(runs), ImportState.COMPLETED)
    await runs.delete("acme", [1])
    assert await runs.get("acme", 1) is None
    assert await put_in_line(runs) == 2


async def test_an_end_in_a_block_that_holds_the_tenant_is_stored_after_it(runs: RunStore) -> None:
    number = await put_in_line(runs)
    async with runs.holding("acme"):
        await end_in(runs, number, ImportState.COMPLETED)
    assert await state_of(runs, number) is ImportState.COMPLETED


async def test_an_upload_for_a_removed_tenant_is_refused(runs: RunStore) -> None:
    with pytest.raises(Refused, match="the tenant initech no longer exists"):
        await arrive(runs, "initech")


async def test_the_facts_of_an_upload_are_stored(runs: RunStore) -> None:
    run = await runs.require("acme", await arrive(runs, size=7))
    assert (run.hook, run.path, run.name, run.size) == ("invoices", "/invoices/march.csv", "march.csv", 7)
    assert (run.state, run.uploaded_at) == (ImportState.ARRIVING, "2026-03-01T12:00:00.000Z")
    assert (run.attempts, run.not_before, run.sha256, run.outcome) == (0, 0.0, None, None)


async def test_a_landed_file_wakes_those_who_wait(runs: RunStore) -> None:
    await put_in_line(runs)
    assert runs.changed.is_set()


async def test_a_start_counts_an_attempt_and_stores_the_hash(runs: RunStore) -> None:
    run = await start(runs, await put_in_line(runs))
    assert (run.state, run.attempts, run.sha256) == (ImportState.RUNNING, 1, SHA256)
    assert run.started_at
    assert await runs.get("acme", 1) == run


async def test_a_retried_run_waits_at_its_old_place_with_its_words(runs: RunStore) -> None:
    for _ in range(2):
        await put_in_line(runs)
    run = await start(runs, 1)
    assert await runs.requeue(run, message="Later.", error="ValueError: no", not_before=99.0)
    waiting = await runs.require("acme", 1)
    assert (waiting.state, waiting.attempts, waiting.not_before) == (ImportState.QUEUED, 1, 99.0)
    assert (waiting.message, waiting.error, waiting.started_at) == ("Later.", "ValueError: no", None)
    assert [each.id for each in await runs.heads()] == [1]


async def test_the_queued_runs_of_a_hook_say_why_they_wait(runs: RunStore) -> None:
    line = [("acme", "invoices"), ("acme", "invoices"), ("acme", "scans"), ("globex", "invoices")]
    numbers = [(tenant, await put_in_line(runs, tenant, hook)) for tenant, hook in line]
    await start(runs, 1)
    await put_in_line(runs)
    await runs.explain("acme", "invoices", "No hook.")
    messages = [(await runs.require(*key)).message for key in [*numbers, ("acme", 4)]]
    assert messages == [None, "No hook.", None, None, "No hook."]
    await runs.explain("acme", "invoices", None)
    assert (await runs.require("acme", 2)).message is None


async def test_a_start_that_is_not_counted_leaves_the_attempts(runs: RunStore) -> None:
    run = await start(runs, await put_in_line(runs))
    assert await runs.requeue(run, message=None, error=None, not_before=0.0, counted=False)
    assert (await runs.require("acme", 1)).attempts == 0


@pytest.mark.parametrize("state", sorted(FINISH_RUN.ends))
async def test_an_end_is_stored_with_what_the_hook_said(runs: RunStore, state: ImportState) -> None:
    run = await end_in(runs, await put_in_line(runs), state)
    assert await runs.get("acme", 1) == run
    assert run.outcome == OUTCOME


async def test_a_retried_run_that_ends_keeps_no_earlier_error(runs: RunStore) -> None:
    run = await start(runs, await put_in_line(runs))
    await runs.requeue(run, message="Later.", error="ValueError: no", not_before=0.0)
    done = await end_in(runs, 1, ImportState.COMPLETED)
    stored = await runs.require("acme", 1)
    assert (stored.attempts, stored.message, stored.error) == (2, None, None)
    assert stored == done


@pytest.mark.parametrize("state", sorted(NEVER_RUN.ends))
async def test_an_upload_that_became_no_run_is_stored_with_the_reason(runs: RunStore, state: ImportState) -> None:
    arriving = await runs.require("acme", await arrive(runs))
    over = replace(arriving, state=state, message="Interrupted.", error="OSError", finished_at=SINCE)
    assert await runs.end_upload(over, published=False)
    assert await runs.get("acme", 1) == over


async def test_a_rerun_is_the_last_in_order_with_no_attempts(runs: RunStore) -> None:
    begun = await start(runs, await put_in_line(runs))
    await runs.requeue(begun, message="Later.", error="ValueError: no", not_before=99.0)
    await end_in(runs, 1, ImportState.FAILED)
    await put_in_line(runs)
    runs.changed.clear()
    again = await runs.rerun("acme", 1)
    assert (again.state, again.attempts, again.not_before) == (ImportState.QUEUED, 0, 0.0)
    assert (again.finished_at, again.message, again.outcome) == (None, None, None)
    assert runs.changed.is_set()
    assert [each.id for each in await runs.heads()] == [2]
    await end_in(runs, 2, ImportState.COMPLETED)
    assert [each.id for each in await runs.heads()] == [1]


async def test_only_a_failed_run_is_run_again(runs: RunStore) -> None:
    await end_in(runs, await put_in_line(runs), ImportState.COMPLETED)
    with pytest.raises(Refused, match="run 1 of acme is completed: only a failed run can be run again") as refused:
        await runs.rerun("acme", 1)
    assert refused.value.code == "not_failed"


@pytest.mark.parametrize("number", [1, INTEGER_MAX + 1])
async def test_a_run_that_does_not_exist_is_unknown(runs: RunStore, number: int) -> None:
    await put_in_line(runs, "globex")
    assert await runs.get("acme", number) is None
    for ask in (runs.require, runs.rerun):
        with pytest.raises(Refused) as refused:
            await ask("acme", number)
        assert refused.value.code == "unknown_run"


async def reach(runs: RunStore, state: ImportState) -> Run:
    """Bring run 1 into `state`, and return it."""
    await arrive(runs)
    if state in NEVER_RUN.ends:
        over = replace(await runs.require("acme", 1), state=state, finished_at=SINCE)
        assert await runs.end_upload(over, published=True)
    if state not in {ImportState.ARRIVING} | NEVER_RUN.ends:
        await runs.landed("acme", 1)
    if state is ImportState.RUNNING:
        await start(runs, 1)
    if state in FINISH_RUN.ends:
        await end_in(runs, 1, state)
    return await runs.require("acme", 1)


async def land(runs: RunStore, run: Run) -> bool:
    await runs.landed(*run.key)
    return True


async def rerun(runs: RunStore, run: Run) -> bool:
    return (await runs.rerun(*run.key)).state is ImportState.QUEUED


CHANGES: dict[Step, Callable[[RunStore, Run], Awaitable[object]]] = {
    LAND: land,
    NEVER_RUN: lambda runs, run: runs.end_upload(ended(run, ImportState.ABORTED), published=True),
    CLAIM: lambda runs, run: runs.claim(*run.key, sha256=SHA256),
    REQUEUE: lambda runs, run: runs.requeue(run, message=None, error=None, not_before=0.0),
    FINISH_RUN: lambda runs, run: runs.finish(ended(run, ImportState.COMPLETED), published=True),
    RERUN: rerun,
}


@pytest.mark.parametrize("state", sorted(RUN_STATES))
@pytest.mark.parametrize("step", OF_RUNS)
async def test_a_change_is_made_only_in_the_states_that_its_step_begins_in(
    runs: RunStore, step: Step, state: ImportState
) -> None:
    run = await reach(runs, state)
    try:
        done = bool(await CHANGES[step](runs, run))
    except Refused:
        done = False
    assert done == (state in step.begins)
    assert await state_of(runs, 1) in (step.ends if done else {state})


@pytest.mark.parametrize("step", [NEVER_RUN, FINISH_RUN])
async def test_an_end_that_no_step_leads_to_is_a_bug(runs: RunStore, step: Step) -> None:
    run = await reach(runs, next(iter(step.begins)))
    with pytest.raises(ValueError, match="does not lead to held"):
        await (runs.end_upload if step is NEVER_RUN else runs.finish)(ended(run, ImportState.HELD), published=True)


async def test_one_run_of_a_hook_of_a_tenant_runs_at_a_time(runs: RunStore) -> None:
    for tenant, hook in (("acme", "invoices"), ("acme", "invoices"), ("acme", "scans"), ("globex", "invoices")):
        await put_in_line(runs, tenant, hook)
    for key in (("acme", 1), ("acme", 3), ("globex", 1)):
        assert await runs.claim(*key, sha256=SHA256)
    assert await runs.claim("acme", 2, sha256=SHA256) is None
    assert await state_of(runs, 2) is ImportState.QUEUED


async def test_a_run_of_a_removed_tenant_changes_none_of_its_successor(runs: RunStore, store: Store) -> None:
    old = await start(runs, await put_in_line(runs))
    await store.tenants().remove("acme")
    assert await runs.page("acme") == []
    assert not await runs.finish(ended(old, ImportState.COMPLETED), published=True)
    await store.tenants().add(Tenant("acme", SINCE, 0))
    number = await runs.arriving("acme", "invoices", "/invoices/may.csv", size=1, uploaded_at=NOON.replace(hour=13))
    await runs.landed("acme", number)
    new = await start(runs, number)
    assert old.key == new.key
    assert not await runs.finish(ended(old, ImportState.COMPLETED), published=True)
    assert not await runs.requeue(old, message=None, error=None, not_before=0.0)
    await runs.published(ended(old, ImportState.COMPLETED))
    assert await runs.require(*new.key) == new
    assert await runs.newest_published("acme", "invoices", 9) == []


async def test_an_upload_for_a_removed_tenant_ends_none_of_its_successor(runs: RunStore, store: Store) -> None:
    old = await runs.require("acme", await arrive(runs))
    await store.tenants().remove("acme")
    await store.tenants().add(Tenant("acme", SINCE, 0))
    await runs.arriving("acme", "invoices", "/invoices/may.csv", size=1, uploaded_at=NOON.replace(hour=13))
    assert not await runs.end_upload(ended(old, ImportState.ABORTED), published=True)
    assert await state_of(runs, old.id) is ImportState.ARRIVING


async def test_waiting_runs_are_not_deleted(runs: RunStore) -> None:
    for _ in range(3):
        await put_in_line(runs)
    await arrive(runs)
    await end_in(runs, 1, ImportState.COMPLETED)
    await start(runs, 2)
    await runs.delete("acme", [1, 2, 3, 4])
    assert [each.id for each in await runs.page("acme")] == [3, 2]
    assert await state_of(runs, 4) is ImportState.ARRIVING


MAIL = Notice("acme", Channel.MAIL, "run 1 failed", "{}")


async def test_the_notices_of_an_end_are_written_with_it_and_once(runs: RunStore, store: Store) -> None:
    run = ended(await start(runs, await put_in_line(runs)), ImportState.FAILED)
    assert await runs.finish(run, published=True, notices=[MAIL])
    assert not await runs.finish(run, published=True, notices=[MAIL])
    await runs.rerun("acme", 1)
    again = ended(await start(runs, 1), ImportState.FAILED)
    assert await runs.finish(again, published=True, notices=[MAIL])
    topics = [each.topic for each in await store.outbox().newest("acme", 9)]
    assert [topic.rpartition(" #")[0] for topic in topics] == [MAIL.topic, MAIL.topic]
    assert len(set(topics)) == 2


async def test_the_notices_of_an_upload_that_became_no_run_are_written_with_it(runs: RunStore, store: Store) -> None:
    over = ended(await runs.require("acme", await arrive(runs)), ImportState.ABORTED)
    assert await runs.end_upload(over, published=True, notices=[MAIL])
    assert len(await store.outbox().newest("acme", 9)) == 1


async def test_counts_and_messages_of_a_hook_may_be_empty(runs: RunStore) -> None:
    run = replace(
        ended(await start(runs, await put_in_line(runs)), ImportState.COMPLETED), outcome=RunOutcome({}, ())
    )
    assert await runs.finish(run, published=True)
    assert (await runs.require("acme", 1)).outcome == RunOutcome({}, ())
