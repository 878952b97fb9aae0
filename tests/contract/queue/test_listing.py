"""Reads of the imports of all tenants; they change none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from engine.store import Store
from ground.moments import rfc3339
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.checksum import waiting
from importer.queue.entry import Past
from importer.queue.pause import Pause
from importer.queue.queue import Queue
from tests.support.engines import OpenStore
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to

ENDED_AT = "2026-03-01T12:00:00.000Z"
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    async with engine("acme", "globex") as opened:
        yield opened


@pytest.fixture
def queue(store: Store) -> Queue:
    return store.imports()


async def test_requiring_an_unknown_import_is_refused(queue: Queue) -> None:
    number = await enqueue(queue)
    assert await queue.require("acme", number) == await found(queue, number)
    with pytest.raises(Refused) as refused:
        await queue.require("acme", 77)
    assert refused.value.code == "unknown_import"


async def test_an_import_of_a_removed_tenant_does_not_continue_in_a_new_one(store: Store, queue: Queue) -> None:
    entry = await queue.claim("acme", await enqueue(queue))
    assert entry
    assert await queue.still_runs(entry)
    await store.tenants().remove("acme")
    assert not await queue.still_runs(entry)


async def test_a_tenant_is_busy_while_an_import_arrives_waits_or_runs(queue: Queue) -> None:
    busy = [await queue.is_busy("acme")]
    number = await promise(queue)
    busy.append(await queue.is_busy("acme"))
    await queue.landed("acme", number)
    await run_to(queue, number, ImportState.COMPLETED)
    busy.append(await queue.is_busy("acme"))
    assert busy == [False, True, False]
    assert not await queue.is_busy("globex")


async def test_a_tenant_is_not_busy_because_of_imports_that_a_pause_keeps_waiting(queue: Queue) -> None:
    pause = Pause(NOON)
    real = await enqueue(queue)
    assert (await queue.is_busy("acme"), await queue.is_busy("acme", pause)) == (True, False)
    await queue.claim("acme", real)
    assert await queue.is_busy("acme", pause)
    await queue.requeue("acme", real)
    dry = await enqueue(queue, dry_run=True)
    assert await queue.is_busy("acme", pause)
    await run_to(queue, dry, ImportState.COMPLETED)
    assert not await queue.is_busy("acme", pause)
    await promise(queue)
    assert await queue.is_busy("acme", pause)


async def test_the_imports_under_way_of_all_tenants_come_in_the_order_of_landing(queue: Queue) -> None:
    first, arriving = await enqueue(queue), await promise(queue)
    other, ended = await enqueue(queue, tenant="globex"), await enqueue(queue)
    await run_to(queue, first, ImportState.COMPLETED)
    assert await queue.claim("globex", other)
    found = await queue.all_under_way(9)
    assert sorted((each.tenant, each.id, each.state) for each in found) == [
        ("acme", arriving, ImportState.ARRIVING),
        ("acme", ended, ImportState.QUEUED),
        ("globex", other, ImportState.RUNNING),
    ]
    assert [each.sequence for each in found] == sorted(each.sequence for each in found)
    assert await queue.all_under_way(1) == found[:1]


async def test_imports_left_by_a_process_are_arriving_or_running(queue: Queue) -> None:
    arriving, running, _ = await promise(queue), await enqueue(queue), await enqueue(queue)
    await queue.claim("acme", running)
    other = await promise(queue, "globex")
    left = [("acme", arriving), ("acme", running), ("globex", other)]
    assert [each.key for each in await queue.cut_off()] == left
    assert [each.key for each in await queue.at_work_here()] == left


async def test_heads_are_the_tenants_with_queued_and_no_running_imports_oldest_first(queue: Queue) -> None:
    assert await queue.heads() == []
    theirs = await enqueue(queue, "globex")
    ours, _ = await enqueue(queue), await enqueue(queue)
    heads = [
        (each.tenant, each.sequence) for each in (await found(queue, theirs, "globex"), await found(queue, ours))
    ]
    assert await queue.heads() == heads
    assert await queue.first_heads(9) == (heads, True)
    assert (await queue.first_heads(1))[0][0] == heads[0]
    await queue.claim("globex", theirs)
    assert await queue.heads() == heads[1:]
    assert await queue.first_heads(9) == (heads[1:], True)


async def test_held_imports_come_after_queued_ones(queue: Queue) -> None:
    held, dry = await enqueue(queue), await enqueue(queue, dry_run=True)
    await run_to(queue, held, ImportState.HELD)
    await run_to(queue, dry, ImportState.HELD)
    waiting = await enqueue(queue)
    assert [each.id for each in await queue.queued("acme")] == [waiting]
    assert [(each.id, each.held) for each in await queue.queued_or_held("acme")] == [(waiting, False), (held, True)]
    assert [each.id for each in await queue.held("acme")] == [held]
    await queue.claim("acme", waiting)
    assert await queue.queued_or_held("acme") == [], "one runs"


async def test_the_queue_length_counts_real_imports_of_all_tenants(queue: Queue) -> None:
    await enqueue(queue)
    await enqueue(queue, dry_run=True)
    await enqueue(queue, "globex")
    await promise(queue)
    assert await queue.queue_length() == 2


async def test_queued_imports_that_wait_for_a_pause_or_a_checksum_are_counted(queue: Queue) -> None:
    messages = [Pause(NOON).message, waiting(ENDED_AT), "Not yet: the disk is full", None]
    for tenant, message in zip(("acme", "globex", "acme", "acme"), messages, strict=True):
        await queue.say(await found(queue, await enqueue(queue, tenant), tenant), message)
    await queue.say(await found(queue, await enqueue(queue, dry_run=True)), Pause(NOON).message)
    assert (await queue.queue_length(), await queue.postponed()) == (4, 2)


async def test_imports_behind_one_that_waits_for_a_checksum_are_postponed(queue: Queue) -> None:
    await queue.say(await found(queue, await enqueue(queue)), waiting(ENDED_AT))
    await enqueue(queue)
    await enqueue(queue, "globex")
    assert (await queue.queue_length(), await queue.postponed()) == (3, 2)


async def test_each_tenant_has_the_time_of_its_oldest_held_import(queue: Queue) -> None:
    for tenant, at in (("acme", NOON + HOUR), ("acme", NOON), ("globex", NOON + 2 * HOUR)):
        entry = await queue.claim(tenant, await enqueue(queue, tenant))
        assert entry
        await queue.finish(entry.ended(outcome(ImportState.HELD), at), published=True)
    await run_to(queue, await enqueue(queue, "globex", dry_run=True), ImportState.HELD, tenant="globex")
    assert await queue.held_since() == {"acme": rfc3339(NOON), "globex": rfc3339(NOON + 2 * HOUR)}
    await queue.discard("globex", (await queue.held("globex"))[0].id, by="Grace")
    assert await queue.held_since() == {"acme": rfc3339(NOON)}


async def test_a_waiting_import_keeps_whether_it_is_a_correction(queue: Queue) -> None:
    number = await enqueue(queue)
    (waiting,) = await queue.queued("acme")
    assert waiting.correction is None
    await queue.set_correction(replace(waiting, correction=True))
    assert (await found(queue, number)).correction is True


async def test_a_queued_import_says_why_it_waits_and_a_running_one_does_not(queue: Queue) -> None:
    entry = await found(queue, await enqueue(queue))
    await queue.say(entry, "the disk is full")
    assert (await found(queue, entry.id)).message == "the disk is full"
    await queue.claim("acme", entry.id)
    await queue.say(entry, "too late")
    assert (await found(queue, entry.id)).message is None


async def test_queued_running_and_held_imports_need_their_copies(queue: Queue) -> None:
    ended, held, dry = await enqueue(queue), await enqueue(queue), await enqueue(queue, dry_run=True)
    await run_to(queue, ended, ImportState.COMPLETED)
    for each in (held, dry):
        await run_to(queue, each, ImportState.HELD)
    running, theirs = await enqueue(queue), await enqueue(queue, "globex")
    await queue.claim("acme", running)
    assert sorted(await queue.copies_needed("acme")) == [(held, 5), (running, 5)]
    first, after = await queue.some_copies_needed(0, 2)
    rest, end = await queue.some_copies_needed(after, 2)
    assert first == {"acme": [(held, 5), (running, 5)]}
    assert (rest, end) == ({"globex": [(theirs, 5)]}, 0)


async def test_the_tenants_of_the_newest_changes_are_listed(queue: Queue) -> None:
    assert await queue.lately_moved(9) == set()
    number = await enqueue(queue)
    await enqueue(queue, "globex")
    assert await queue.lately_moved(9) == {"acme", "globex"}
    assert await queue.lately_moved(1) == {"globex"}
    before = await queue.newest_move()
    await queue.moved(await found(queue, number))
    assert await queue.newest_move() > before
    assert await queue.lately_moved(1) == {"acme"}


async def test_reports_that_are_shown_are_listed_newest_first_by_kind(queue: Queue) -> None:
    for dry_run in (False, True, False, True):
        await run_to(queue, await enqueue(queue, dry_run=dry_run), ImportState.COMPLETED)
    await enqueue(queue)
    assert await queue.newest_published("acme", 9) == {True: [4, 2], False: [3, 1]}
    assert await queue.newest_published("acme", 1) == {True: [4], False: [3]}


async def test_a_report_that_is_behind_its_state_is_unpublished(queue: Queue) -> None:
    entry = await queue.claim("acme", await enqueue(queue))
    assert entry
    await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=False)
    (behind,) = await queue.unpublished()
    await queue.published(behind)
    assert await queue.unpublished() == []


async def test_the_newest_import_of_each_tenant_is_a_real_one(queue: Queue) -> None:
    await enqueue(queue)
    newest, _ = await enqueue(queue), await enqueue(queue, dry_run=True)
    assert {name: each.id for name, each in (await queue.newest_of_all()).items()} == {"acme": newest}


async def test_the_newest_change_and_waiting_imports_decide_about_an_undo(queue: Queue) -> None:
    for state in (ImportState.COMPLETED, ImportState.UNCHANGED, ImportState.FAILED):
        await run_to(queue, await enqueue(queue), state)
    entry = await queue.claim("acme", await enqueue(queue))
    assert entry
    rejecting = outcome(ImportState.COMPLETED_WITH_ERRORS, rejected=1)
    await queue.finish(entry.ended(rejecting, NOON), published=True)
    waiting, _ = await enqueue(queue), await enqueue(queue)
    change, first = await queue.newest_change("acme"), await queue.waiting_first("acme")
    assert change
    assert first
    assert (change.id, first.id) == (1, waiting)
    assert await queue.newest_change("globex") is None
    assert await queue.waiting_first("globex") is None


async def test_the_past_of_a_tenant_lists_its_imports_and_their_bytes(queue: Queue) -> None:
    assert await queue.kept("acme") == (None, 0)
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    await enqueue(queue, dry_run=True)
    assert await queue.kept("acme") == (ENDED_AT, 10)
    assert await queue.past("acme") == [
        Past(1, ImportState.COMPLETED, False, ENDED_AT, 1),
        Past(2, ImportState.QUEUED, True, None, None),
    ]


async def test_the_progress_of_an_import_is_known_while_it_runs(queue: Queue) -> None:
    number = await enqueue(queue)
    await queue.progress("acme", number, 0.5)
    assert (await found(queue, number)).progress is None
    await queue.claim("acme", number)
    await queue.progress("acme", number, 0.5)
    assert (await found(queue, number)).progress == 0.5
