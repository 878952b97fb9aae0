"""Each change of an import is made only in the states that its step begins in, and leads only to its ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from engine.store import Store
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.queue.states import (
    APPROVE,
    CLAIM,
    DISCARD,
    FINISH,
    LAND,
    NEVER_RUN,
    OF_IMPORTS,
    REQUEUE,
    SUPERSEDE,
    UNDO,
    Step,
)
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to


async def reach(queue: Queue, state: ImportState) -> Entry:
    """Bring import 1 into `state`, and return it."""
    if state in {ImportState.ARRIVING} | NEVER_RUN.ends:
        await promise(queue)
    else:
        await enqueue(queue)
    if state in NEVER_RUN.ends:
        assert await never_run(queue, (await found(queue, 1)), state)
    elif state is ImportState.RUNNING:
        assert await queue.claim("acme", 1)
    elif state is ImportState.SUPERSEDED:
        assert await supersede(queue, await found(queue, 1))
    elif state is ImportState.UNDONE:
        await run_to(queue, 1, ImportState.COMPLETED)
        await queue.undo("acme", 1, by="Ann")
        await run_to(queue, 1, state)
    elif state not in {ImportState.ARRIVING, ImportState.QUEUED}:
        # Nothing of an import with errors that changed no user can be undone.
        counts = {"created": 1} if state is ImportState.COMPLETED_WITH_ERRORS else {}
        await run_to(queue, 1, state, **counts)
    return await found(queue, 1)


async def land(queue: Queue, entry: Entry) -> bool:
    await queue.landed(*entry.key)
    return True


async def never_run(queue: Queue, entry: Entry, state: ImportState = ImportState.ABORTED) -> bool:
    return await queue.end_upload(entry.never_ran(state, "Interrupted.", NOON), published=True)


async def supersede(queue: Queue, entry: Entry) -> bool:
    return await queue.supersede(entry.superseded(entry, NOON), published=True)


async def finish(queue: Queue, entry: Entry) -> bool:
    return await queue.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=True)


CHANGES: dict[Step, Callable[[Queue, Entry], Awaitable[object]]] = {
    LAND: land,
    NEVER_RUN: never_run,
    CLAIM: lambda queue, entry: queue.claim(*entry.key),
    REQUEUE: lambda queue, entry: queue.requeue(*entry.key),
    FINISH: finish,
    SUPERSEDE: supersede,
    APPROVE: lambda queue, entry: queue.approve(*entry.key, by="Ann", users=frozenset()),
    DISCARD: lambda queue, entry: queue.discard(*entry.key, by="Ann"),
    UNDO: lambda queue, entry: queue.undo(*entry.key, by="Ann"),
}


@pytest.mark.parametrize("state", ImportState)
@pytest.mark.parametrize("step", OF_IMPORTS)
async def test_a_change_is_made_only_in_the_states_that_its_step_begins_in(
    store: Store, step: Step, state: ImportState
) -> None:
    queue = store.imports()
    entry = await reach(queue, state)
    assert entry.state is state
    try:
        done = bool(await CHANGES[step](queue, entry))
    except Refused:
        done = False
    assert done == (state in step.begins)
    assert (await found(queue, 1)).state in (step.ends if done else {state})


@pytest.mark.parametrize("step", [NEVER_RUN, FINISH, SUPERSEDE])
async def test_a_state_that_the_step_does_not_lead_to_is_a_bug(store: Store, step: Step) -> None:
    queue = store.imports()
    wrong = (await reach(queue, min(step.begins))).never_ran(ImportState.ARRIVING, "It is a bug.", NOON)
    write = {NEVER_RUN: queue.end_upload, FINISH: queue.finish, SUPERSEDE: queue.supersede}[step]
    with pytest.raises(ValueError, match="does not lead to arriving"):
        await write(wrong, published=True)
    assert (await found(queue, 1)).state in step.begins
