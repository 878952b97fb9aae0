"""The queue, the runs and the outbox on PostgreSQL: changes at the same moment, and texts that it cannot store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from engine.postgres.database import Database
from engine.postgres.server.tenants import hold
from engine.postgres.store import PostgresStore, open_store
from importer.errors import DatabaseFault, Refused
from importer.model import ImportState, Problem, Severity
from importer.queue.notices import Channel, Notice
from tests.support.clients import POSTGRES, needs
from tests.support.engines import add_tenants
from tests.support.postgres import waiting
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to
from tests.support.runs import end_in, put_in_line, start
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    async with open_store(url, serving=True) as opened:
        await add_tenants(opened, ("acme", "globex"))
        yield opened


@asynccontextmanager
async def together(database: Database, *acts: Callable[[], Awaitable[Any]]) -> AsyncIterator[list[Any]]:
    """Begin these changes of acme in this order while its row is held, then let them go on; give their results."""
    async with database.transaction() as steps:
        await hold(steps, "acme")
        tasks = []
        for number, act in enumerate(acts, start=1):
            tasks.append(asyncio.ensure_future(act()))
            await eventually(lambda: waiting(database, number))  # noqa: B023 - awaited at once
    yield await asyncio.gather(*tasks, return_exceptions=True)


async def test_each_of_simultaneous_landings_knows_of_those_before_it(store: PostgresStore) -> None:
    queue = store.imports()
    numbers = [await promise(queue) for _ in range(3)]
    acts = [lambda number=number: queue.landed("acme", number) for number in reversed(numbers)]
    async with together(store.database, *acts) as beside_others:
        assert beside_others == [False, True, True]
    assert [each.id for each in await queue.queued("acme")] == [*reversed(numbers)]


async def test_only_one_import_of_a_tenant_runs(store: PostgresStore) -> None:
    queue = store.imports()
    for _ in range(2):
        await enqueue(queue)
    async with together(store.database, lambda: queue.claim("acme", 2), lambda: queue.claim("acme", 1)) as (
        first,
        second,
    ):
        assert first.state is ImportState.RUNNING
        assert second is None
    assert await enqueue(queue, "globex")
    assert await queue.claim("globex", 1)


async def test_only_one_of_two_runs_of_a_hook_starts(store: PostgresStore) -> None:
    runs = store.runs()
    for _ in range(2):
        await put_in_line(runs)
    acts = [lambda number=number: runs.claim("acme", number, sha256=None) for number in (1, 2)]
    async with together(store.database, *acts) as (first, second):
        assert (first.id, second) == (1, None)


async def test_one_of_two_simultaneous_reruns_is_refused(store: PostgresStore) -> None:
    runs = store.runs()
    await end_in(runs, await put_in_line(runs), ImportState.FAILED)
    acts = [lambda: runs.rerun("acme", 1)] * 2
    async with together(store.database, *acts) as (first, second):
        assert first.state is ImportState.QUEUED
        assert isinstance(second, Refused)


async def test_an_undo_that_waits_for_an_end_takes_that_import(store: PostgresStore) -> None:
    queue = store.imports()
    for number in (1, 2):
        await enqueue(queue)
        if number == 1:
            await run_to(queue, 1, ImportState.COMPLETED)
    entry = await queue.claim("acme", 2)
    assert entry
    ended = entry.ended(outcome(ImportState.COMPLETED), NOON)
    async with together(
        store.database, lambda: queue.finish(ended, published=True), lambda: queue.undo("acme", None, by="Ann")
    ) as (_, undone):
        assert undone.id == 2


async def test_two_servers_do_not_write_results_of_a_tenant_at_once(store: PostgresStore, url: str) -> None:
    async def write(other: PostgresStore) -> None:
        async with other.runs().holding("acme"):
            pass

    async with open_store(url, serving=True) as other:
        async with store.imports().holding("acme"):
            writing = asyncio.ensure_future(write(other))
            await eventually(lambda: waiting(other.database, 1))
            async with other.runs().holding("globex"):
                assert not writing.done()
        await writing


async def test_a_message_may_quote_any_character_of_a_file(store: PostgresStore) -> None:
    queue, odd = store.imports(), "a\0b\ud800"
    await enqueue(queue)
    entry = await queue.claim("acme", 1)
    assert entry
    problem = Problem(Severity.ERROR, "odd", "An odd cell.", 2, "email", odd)
    told = replace(outcome(ImportState.FAILED), message="Odd: a\0b.", messages=(problem,))
    assert await queue.finish(entry.ended(told, NOON), published=True)
    read = await found(queue, 1)
    assert read.outcome == told
    assert read.message == "Odd: a\ufffdb."
    await put_in_line(store.runs())
    run = replace(await start(store.runs(), 1), state=ImportState.FAILED, message="a\0b", error="ValueError: \0")
    assert await store.runs().finish(run, published=True)
    assert (await store.runs().require("acme", 1)).error == "ValueError: \ufffd"


async def test_an_end_and_its_notices_are_written_together_or_not_at_all(store: PostgresStore) -> None:
    queue = store.imports()
    await enqueue(queue)
    entry = await queue.claim("acme", 1)
    assert entry
    ended = entry.ended(outcome(ImportState.COMPLETED), NOON)
    broken = Notice("acme", "pigeon", "import 1", "{}")  # type: ignore[arg-type]
    notices = [Notice("acme", channel, "import 1", "{}") for channel in Channel]
    with pytest.raises(DatabaseFault):
        await queue.finish(ended, published=True, notices=[*notices, broken])
    assert (await found(queue, 1)).state is ImportState.RUNNING
    assert await store.database.read("SELECT * FROM outbox") == []
    assert await queue.finish(ended, published=True, notices=notices)
    assert not await queue.finish(ended, published=True, notices=notices)
    rows = await store.database.read("SELECT topic, channel FROM outbox ORDER BY channel")
    move = await queue.newest_move()
    assert [[*row] for row in rows] == [[f"import 1 #{move}", "mail"], [f"import 1 #{move}", "webhook"]]


async def test_the_counts_of_a_hook_keep_their_order(store: PostgresStore) -> None:
    run = await end_in(store.runs(), await put_in_line(store.runs()), ImportState.COMPLETED)
    assert run.outcome
    counts = {"rows": 1, "a": 2, "invoices paid": 3, "b": 4}
    await put_in_line(store.runs())
    again = replace(await start(store.runs(), 2), state=run.state, outcome=replace(run.outcome, counts=counts))
    assert await store.runs().finish(again, published=True)
    stored = (await store.runs().require("acme", 2)).outcome
    assert stored
    assert [*stored.counts] == [*counts]


async def test_a_notice_is_sent_as_it_was_written(store: PostgresStore) -> None:
    outbox, content = store.outbox(), '{"z": "a\\u0000b", "a": {"y": 1, "b": 2}}'
    await outbox.put([Notice("acme", Channel.WEBHOOK, "import 1", content)], now="2026")
    (message,) = await outbox.newest("acme", 9)
    assert json.dumps(message.content) == content
    await outbox.note(message.id, "400 a\0b")
    assert [each.error for each in await outbox.owed(9)] == ["400 a\ufffdb"]
