"""The queue on a real database: every change of state, and the states it may start from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from engine.store import Store
from importer.errors import Refused
from importer.model import GuardReason, ImportState, Outcome, Problem, Severity, Written
from importer.queue.pause import Pause
from importer.queue.queue import Queue
from tests.support.engines import OpenStore
from tests.support.queues import GUARD, NOON, enqueue, found, outcome, promise, run_to


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    async with engine("acme", "globex") as opened:
        yield opened


@pytest.fixture
def queue(store: Store) -> Queue:
    return store.imports()


async def test_ids_count_from_one_for_each_tenant_and_are_never_used_again(queue: Queue) -> None:
    assert [await promise(queue), await promise(queue), await promise(queue, "globex")] == [1, 2, 1]
    never = (await found(queue, 2)).never_ran(ImportState.ABORTED, "interrupted", NOON)
    assert await queue.end_upload(never, published=True)
    assert await promise(queue) == 3


async def test_an_upload_for_a_removed_tenant_is_refused(queue: Queue) -> None:
    with pytest.raises(Refused, match="the tenant initech no longer exists"):
        await promise(queue, "initech")


async def test_an_end_in_a_block_that_holds_the_tenant_is_stored_after_it(queue: Queue) -> None:
    number = await enqueue(queue)
    entry = await queue.claim("acme", number)
    assert entry
    async with queue.holding("acme"):
        assert await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=True)
    assert (await found(queue, number)).state is ImportState.COMPLETED


async def test_an_import_is_not_started_while_another_of_its_tenant_runs(queue: Queue) -> None:
    first, second, other = await enqueue(queue), await enqueue(queue), await enqueue(queue, "globex")
    assert await queue.claim("acme", first)
    assert await queue.claim("acme", second) is None
    assert await queue.claim("globex", other)


async def test_an_arriving_import_is_neither_listed_nor_started(queue: Queue) -> None:
    await promise(queue)
    assert await queue.page("acme") == []
    assert await queue.newest("acme") is None
    assert await queue.claim("acme", 1) is None


async def test_the_facts_of_an_upload_are_stored(queue: Queue) -> None:
    written = Written(writes=3, longest=32768, last=100, foreign=False)
    number = await queue.arriving(
        "acme", "/test/sync_users.csv", size=65636, written=written, uploaded_at=NOON, dry_run=True
    )
    entry = await found(queue, number)
    assert entry.written == written
    report = entry.report().to_json()
    assert report["file"] == {"name": "sync_users.csv", "size": 65636, "sha256": None, "rows": None}
    assert report["uploaded_at"] == "2026-03-01T12:00:00.000Z"
    assert report["dry_run"] is True
    assert report["state"] == "queued"


async def test_the_order_is_that_of_landing_not_of_arriving(queue: Queue) -> None:
    first, second = await promise(queue), await promise(queue)
    await queue.landed("acme", second)
    await queue.landed("acme", first)
    assert [entry.id for entry in await queue.under_way("acme")] == [second, first]


async def test_no_import_lands_twice_or_without_arriving(queue: Queue) -> None:
    number = await enqueue(queue)
    for unknown in (number, 77):
        with pytest.raises(Refused):
            await queue.landed("acme", unknown)


async def test_an_import_is_started_once(queue: Queue) -> None:
    await enqueue(queue)
    entry = await queue.claim("acme", 1)
    assert entry
    assert (entry.state, entry.attempts) == (ImportState.RUNNING, 1)
    assert entry.started_at
    assert await queue.claim("acme", 1) is None


async def test_an_end_is_in_the_report(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.COMPLETED)
    report = (await found(queue, 1)).report()
    assert report.state is ImportState.COMPLETED
    assert report.file.sha256 == "ab" * 32
    assert report.finished_at == "2026-03-01T12:00:00.000Z"
    assert await queue.unpublished() == []


async def test_an_import_of_a_removed_tenant_gets_no_end(queue: Queue, store: Store) -> None:
    await enqueue(queue)
    entry = await queue.claim("acme", 1)
    assert entry
    await store.tenants().remove("acme")
    assert not await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=True)


async def test_a_requeued_import_keeps_its_place_and_its_count_of_attempts(queue: Queue) -> None:
    await enqueue(queue)
    await enqueue(queue)
    await queue.claim("acme", 1)
    assert await queue.requeue("acme", 1, message="the disk is full", not_before=99.0)
    entry = await found(queue, 1)
    assert (entry.state, entry.attempts, entry.not_before) == (ImportState.QUEUED, 0, 99.0)
    assert entry.report().message == "the disk is full"
    assert [each.id for each in await queue.under_way("acme")] == [1, 2]
    await queue.claim("acme", 1)
    assert await queue.requeue("acme", 1, counted=True)
    assert (await found(queue, 1)).attempts == 1


async def test_approving_queues_a_held_import_with_the_users_shown(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    await enqueue(queue)
    entry = await queue.approve("acme", 1, by="operator", users=frozenset({7, 9}))
    assert entry.state is ImportState.QUEUED
    assert entry.approval
    assert entry.approval.users == {7, 9}
    assert entry.approval.reasons == (GuardReason.TOO_MANY_DEACTIVATIONS,)
    assert [each.id for each in await queue.under_way("acme")] == [1, 2]
    assert (await found(queue, 1)).report().decided_by == "operator"
    assert queue.changed.is_set()


async def test_the_decider_stays_in_the_report_of_the_end(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    await queue.approve("acme", 1, by="operator", users=frozenset())
    await run_to(queue, 1, ImportState.COMPLETED)
    entry = await found(queue, 1)
    assert entry.report().decided_by == "operator"
    assert entry.report().decided_at
    assert entry.approval is None


async def test_an_import_held_again_needs_a_new_decision(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    await queue.approve("acme", 1, by="operator", users=frozenset())
    await run_to(queue, 1, ImportState.HELD)
    assert (await found(queue, 1)).report().decided_by is None
    assert (await queue.approve("acme", 1, by="operator", users=frozenset({1}))).state is ImportState.QUEUED


async def test_a_list_from_before_an_import_was_held_again_is_not_approved(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    now = (await found(queue, 1)).finished_at
    with pytest.raises(Refused) as refused:
        await queue.approve("acme", 1, by="operator", users=frozenset(), held_at="2026-01-01T00:00:00.000Z")
    assert refused.value.code == "held_again"
    approved = await queue.approve("acme", 1, by="operator", users=frozenset(), held_at=now)
    assert approved.state is ImportState.QUEUED


async def test_discarding_ends_a_held_import(queue: Queue) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    entry = await queue.discard("acme", 1, by="operator")
    assert entry.state is ImportState.DISCARDED
    assert entry.report().decided_by == "operator"
    assert [each.id for each in await queue.unpublished()] == [1]
    await queue.published(entry)
    assert await queue.unpublished() == []


@pytest.mark.parametrize("again", ["approve", "undo", "checksum"])
async def test_an_import_queued_by_a_decision_has_no_attempts(queue: Queue, again: str) -> None:
    await enqueue(queue)
    for _ in range(3):  # the server was killed during each of them
        await queue.claim("acme", 1)
        await queue.requeue("acme", 1, not_before=99.0, counted=True)
    if again == "undo":
        await run_to(queue, 1, ImportState.COMPLETED)
        await queue.undo("acme", 1, by="operator")
    else:
        guard = replace(GUARD, reasons=(GuardReason.POSSIBLY_TRUNCATED,))
        entry = await queue.claim("acme", 1)
        assert entry
        held = replace(outcome(ImportState.HELD), guard=guard)
        assert await queue.finish(entry.ended(held, NOON), published=True)
        if again == "approve":
            await queue.approve("acme", 1, by="operator", users=frozenset())
        else:
            await queue.checksum_landed("acme", held.file.sha256 or "", dry_run=False)
    queued = await found(queue, 1)
    assert (queued.state, queued.attempts, queued.not_before) == (ImportState.QUEUED, 0, 0.0)
    keeps_its_times = again == "undo"
    assert [queued.started_at is not None, queued.finished_at is not None] == [keeps_its_times] * 2


async def test_an_undo_keeps_when_its_import_was_started(queue: Queue) -> None:
    await enqueue(queue)
    started = (await run_to(queue, 1, ImportState.COMPLETED)).started_at
    assert started
    await queue.undo("acme", 1, by="operator")
    for _ in range(2):
        assert await queue.claim("acme", 1)
        assert await queue.requeue("acme", 1)
    assert (await found(queue, 1)).started_at == started


@pytest.mark.parametrize("decide", ["approve", "discard"])
async def test_only_a_real_import_that_is_held_can_be_decided(queue: Queue, decide: str) -> None:
    async def refused(number: int) -> str:
        approve = partial(queue.approve, users=frozenset())
        with pytest.raises(Refused) as error:
            await (approve if decide == "approve" else queue.discard)("acme", number, by="operator")
        return error.value.code

    assert await refused(1) == "unknown_import"
    await enqueue(queue)
    assert await refused(1) == "not_held"
    await run_to(queue, 1, ImportState.COMPLETED)
    assert await refused(1) == "not_held"
    dry = await enqueue(queue, dry_run=True)
    await run_to(queue, dry, ImportState.HELD)
    assert await refused(dry) == "dry_run"
    held = await enqueue(queue)
    held_entry = await run_to(queue, held, ImportState.HELD)
    newer = await found(queue, await enqueue(queue))
    assert await queue.supersede(held_entry.superseded(newer, NOON), published=True)
    assert await refused(held) == "not_held"


async def test_a_superseded_import_names_the_newer_one(queue: Queue) -> None:
    await enqueue(queue)
    newer = await found(queue, await enqueue(queue))
    assert await queue.supersede((await found(queue, 1)).superseded(newer, NOON), published=False)
    report = (await found(queue, 1)).report()
    assert report.state is ImportState.SUPERSEDED
    assert report.message
    assert "import 2" in report.message
    assert [each.id for each in await queue.unpublished()] == [1]


async def test_an_import_decided_meanwhile_is_not_superseded(queue: Queue) -> None:
    await enqueue(queue)
    held = await run_to(queue, 1, ImportState.HELD)
    newer = await found(queue, await enqueue(queue))
    await queue.discard("acme", 1, by="operator")
    assert not await queue.supersede(held.superseded(newer, NOON), published=True)
    assert (await found(queue, 1)).state is ImportState.DISCARDED


@pytest.mark.parametrize("state", [ImportState.RUNNING, ImportState.COMPLETED])
async def test_an_import_that_runs_or_ended_is_not_superseded(queue: Queue, state: ImportState) -> None:
    await enqueue(queue)
    seen = await found(queue, 1)
    newer = await found(queue, await enqueue(queue))
    if state is ImportState.RUNNING:
        await queue.claim("acme", 1)
    else:
        await run_to(queue, 1, state)
    assert not await queue.supersede(seen.superseded(newer, NOON), published=True)
    assert (await found(queue, 1)).state is state


async def test_a_running_import_no_longer_says_why_it_waited(queue: Queue) -> None:
    await enqueue(queue)
    await queue.claim("acme", 1)
    await queue.requeue("acme", 1, message="the disk is full")
    running = await queue.claim("acme", 1)
    assert running
    assert running.report().message is None


async def test_a_page_is_newest_first_and_of_one_tenant(queue: Queue) -> None:
    for _ in range(4):
        await enqueue(queue)
    await enqueue(queue, "globex")
    await run_to(queue, 2, ImportState.FAILED)
    assert [each.id for each in await queue.page("acme")] == [4, 3, 2, 1]
    assert [each.id for each in await queue.page("acme", limit=2, before=4)] == [3, 2]
    assert [each.id for each in await queue.page("acme", state=ImportState.FAILED)] == [2]
    assert [each.id for each in await queue.page("acme", state=ImportState.QUEUED, limit=1, before=4)] == [3]
    assert [each.id for each in await queue.page("globex")] == [1]


async def test_a_page_may_be_of_one_file_of_dry_runs_and_of_a_time(queue: Queue) -> None:
    for number, dry_run in enumerate((False, True, False), 1):
        path = "/test/sync_users.csv" if dry_run else "/sync_users.csv"
        at = NOON.replace(minute=number)
        assert number == await queue.arriving("acme", path, size=5, written=None, uploaded_at=at, dry_run=dry_run)
        await queue.landed("acme", number)
    await run_to(queue, 1, ImportState.COMPLETED)
    await run_to(queue, 2, ImportState.UNCHANGED)

    async def ids(**asked: Any) -> list[int]:
        return [each.id for each in await queue.page("acme", **asked)]

    assert await ids(sha256="ab" * 32) == [2, 1]
    assert await ids(sha256="cd" * 32) == []
    assert (await ids(dry_run=True), await ids(dry_run=False)) == ([2], [3, 1])
    assert await ids(since="2026-03-01T12:02:00.000Z") == [3, 2]
    assert await ids(since="2026-03-01T12:02:00.000Z", dry_run=False, before=3) == []
    assert await ids(sha256="ab" * 32, state=ImportState.COMPLETED, dry_run=False) == [1]


async def test_a_list_may_leave_out_messages(queue: Queue) -> None:
    number = await enqueue(queue)
    entry = await queue.claim("acme", number)
    assert entry
    problem = Problem(Severity.WARNING, "unknown_manager", "No user has that address.", 2)
    ended = replace(outcome(ImportState.COMPLETED, created=3), messages=(problem,), active=7)
    await queue.finish(entry.ended(ended, NOON), published=True)
    await enqueue(queue)
    whole, brief = await queue.page("acme"), await queue.page("acme", messages=False)
    assert whole[0] == brief[0]
    assert whole[1].outcome == ended
    assert brief[1] == replace(whole[1], outcome=replace(ended, messages=()))


async def test_the_newest_import_is_a_real_one(queue: Queue) -> None:
    real = await enqueue(queue)
    await enqueue(queue, dry_run=True)
    stub = (await found(queue, await promise(queue))).never_ran(ImportState.ABORTED, "interrupted", NOON)
    await queue.end_upload(stub, published=True)
    newest = await queue.newest("acme")
    assert newest
    assert newest.id == real


async def test_the_eleventh_failed_import_is_found(queue: Queue) -> None:
    for _ in range(11):
        await run_to(queue, await enqueue(queue), ImportState.FAILED)
    assert await queue.failed_before("acme", 10) == 1
    assert await queue.failed_before("acme", 11) is None
    assert await queue.failed_before("globex", 0) is None


async def test_the_last_success_is_that_of_the_newest_applied_real_import(queue: Queue) -> None:
    await run_to(queue, await enqueue(queue), ImportState.UNCHANGED)
    later = NOON + timedelta(hours=1)
    for dry_run, state in ((True, ImportState.COMPLETED), (False, ImportState.FAILED)):
        entry = await queue.claim("acme", await enqueue(queue, dry_run=dry_run))
        assert entry
        await queue.finish(entry.ended(outcome(state), later), published=True)
    assert await queue.last_successes() == {"acme": "2026-03-01T12:00:00.000Z"}


async def test_applied_imports_are_listed_in_the_order_of_application(queue: Queue) -> None:
    await approved_late(queue)
    await run_to(queue, await enqueue(queue, dry_run=True), ImportState.COMPLETED)
    await run_to(queue, await enqueue(queue, "globex"), ImportState.COMPLETED, "globex")
    assert [entry.id for entry in await queue.applied("acme", 5)] == [1, 3]
    assert [entry.id for entry in await queue.applied("acme", 1)] == [1]


async def approved_late(queue: Queue) -> None:
    """Import 2 failed; import 1 was applied after import 3, and the clock was set back by a week."""
    await run_to(queue, await enqueue(queue), ImportState.HELD)
    for state in (ImportState.FAILED, ImportState.UNCHANGED):
        await run_to(queue, await enqueue(queue), state)
    await queue.approve("acme", 1, by="operator", users=frozenset())
    entry = await queue.claim("acme", 1)
    assert entry
    await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON - timedelta(days=7)), published=True)


async def test_the_last_success_is_the_one_applied_last_though_the_clock_is_set_back(queue: Queue) -> None:
    await approved_late(queue)
    assert await queue.last_successes() == {"acme": "2026-02-22T12:00:00.000Z"}


async def test_undo_takes_the_import_applied_last_though_the_clock_is_set_back(queue: Queue) -> None:
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    entry = await queue.claim("acme", await enqueue(queue))
    assert entry
    await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON - timedelta(minutes=1)), published=True)
    with pytest.raises(Refused, match="undo that one first"):
        await queue.undo("acme", 1, by="operator")
    assert (await queue.undo("acme", None, by="operator")).id == 2


async def test_a_failed_undo_leaves_an_import_at_its_place_in_the_order(queue: Queue) -> None:
    for state in (ImportState.COMPLETED, ImportState.COMPLETED, ImportState.UNCHANGED):
        await run_to(queue, await enqueue(queue), state)
    await queue.undo("acme", 2, by="operator")
    await run_to(queue, 2, ImportState.UNDONE)
    await queue.undo("acme", 1, by="operator")
    await run_to(queue, 1, ImportState.FAILED)
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    assert [(entry.id, entry.state) for entry in await queue.applied("acme", 9)] == [
        (4, ImportState.COMPLETED),
        (3, ImportState.UNCHANGED),
        (1, ImportState.COMPLETED),
    ]


async def test_the_reason_against_an_undo_can_be_asked_before(queue: Queue) -> None:
    for state in (ImportState.COMPLETED, ImportState.COMPLETED, ImportState.UNCHANGED):
        await run_to(queue, await enqueue(queue), state)

    async def why_not(number: int) -> str | None:
        refused = await queue.why_not_undone(await found(queue, number))
        return refused.code if refused else None

    assert [await why_not(number) for number in (1, 2, 3)] == ["not_newest", None, "nothing_to_undo"]
    await enqueue(queue)
    assert await why_not(2) == "import_waits"


async def test_an_undo_does_not_wait_for_a_paused_import(queue: Queue) -> None:
    pause = Pause(NOON)
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    paused = await enqueue(queue)
    assert await queue.why_not_undone(await found(queue, 1), pause) is None
    with pytest.raises(Refused, match="import 2 is queued"):
        await queue.undo("acme", 1, by="operator")
    assert (await queue.undo("acme", 1, by="operator", pause=pause)).id == 1
    await run_to(queue, 1, ImportState.FAILED)
    assert await queue.claim("acme", paused)
    with pytest.raises(Refused, match="import 2 is running"):
        await queue.undo("acme", 1, by="operator", pause=pause)


async def test_a_decided_import_is_in_the_way_of_an_undo_during_a_pause(queue: Queue) -> None:
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    paused, held = await enqueue(queue), await enqueue(queue)
    await run_to(queue, held, ImportState.HELD)
    await queue.approve("acme", held, by="Ann", users=frozenset())
    first = await queue.waiting_first("acme", Pause(NOON))
    assert first
    assert first.id == held
    assert [(each.id, each.approved) for each in await queue.queued("acme")] == [(paused, False), (held, True)]


async def test_the_message_of_a_queued_import_is_set_and_removed(queue: Queue) -> None:
    number = await enqueue(queue)
    await queue.say(await found(queue, number), "Paused")
    assert [each.message for each in await queue.queued("acme")] == ["Paused"]
    await queue.say(await found(queue, number), None)
    assert (await found(queue, number)).message is None


async def test_an_import_that_was_started_meanwhile_is_not_said_to_wait(queue: Queue) -> None:
    waiting = await found(queue, await enqueue(queue))
    assert await queue.claim("acme", waiting.id)
    await queue.say(waiting, "Paused")
    assert (await found(queue, waiting.id)).message is None


async def test_imports_that_wait_or_run_are_not_deleted(queue: Queue) -> None:
    """Their state at the moment of deletion counts."""
    held, running, ended = [await enqueue(queue) for _ in range(3)]
    arriving, queued = await promise(queue), await enqueue(queue)
    await run_to(queue, held, ImportState.HELD)
    await run_to(queue, ended, ImportState.COMPLETED)
    await queue.claim("acme", running)
    await queue.delete("acme", [held, running, ended, arriving, queued])
    kept = [number for number in range(1, 6) if await queue.get("acme", number)]
    assert kept == [held, running, arriving, queued]


async def test_simultaneous_changes_wait_for_each_other(queue: Queue) -> None:
    numbers = await asyncio.gather(*(enqueue(queue) for _ in range(20)))
    assert sorted(numbers) == list(range(1, 21))
    assert len(await queue.under_way("acme")) == 20


async def test_one_of_two_processes_that_decide_at_once_is_refused(queue: Queue, engine: OpenStore) -> None:
    await enqueue(queue)
    await run_to(queue, 1, ImportState.HELD)
    async with engine() as elsewhere:
        decisions = await asyncio.gather(
            queue.approve("acme", 1, by="operator", users=frozenset()),
            elsewhere.imports().discard("acme", 1, by="operator"),
            return_exceptions=True,
        )
    assert sum(isinstance(each, Refused) for each in decisions) == 1


def test_an_outcome_is_read_as_it_was_written() -> None:
    held = outcome(ImportState.HELD, created=2)
    assert Outcome.from_json(json.loads(json.dumps(held.to_json()))) == held
