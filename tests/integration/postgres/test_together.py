"""Calls of one task in one transaction: all of them or none, and what follows only after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import psycopg
import pytest

from engine.postgres import database as database_module
from engine.postgres.connecting import Connection
from engine.postgres.database import ON_NO_DISK, Database, alone, pooled
from engine.postgres.migrations import migrate
from engine.postgres.server.queue import PostgresQueue
from engine.postgres.together import forget_proofs
from ground.afterwards import once_stored
from importer.errors import DatabaseAway, DatabaseFault, OutcomeUnknown, TryAgain
from tests.integration.postgres.test_database import WRITE, asleep, end_others, written
from tests.support.clients import POSTGRES, needs
from tests.support.own_postgres import own_postgres
from tests.support.queues import promise
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)


def stop() -> NoReturn:
    raise KeyError


async def do_together(database: Database, *acts: Callable[[], Awaitable[object] | None]) -> None:
    async with database.together():
        for act in acts:
            if (doing := act()) is not None:
                await doing


async def test_calls_of_one_task_are_one_transaction(database: Database, url: str) -> None:
    async with alone(url) as other:
        async with database.together():
            await database.change(WRITE, 1, "a")
            async with database.transaction() as steps:
                await steps.change(WRITE, 2, "b")
            assert await written(database) == [1, 2]
            assert await written(other) == []
        assert await written(other) == [1, 2]


async def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    with pytest.raises(KeyError):
        await do_together(database, lambda: database.change(WRITE, 1, "a"), stop)
    assert await written(database) == []


async def test_what_follows_happens_after_the_commit_in_order(database: Database, url: str) -> None:
    seen: list[object] = []

    async def look() -> None:
        seen.append(await written(database))
        await database.change(WRITE, 2, "from what follows")

    async with alone(url) as single, single.together():
        await single.change(WRITE, 1, "a")
        await once_stored(look)
        await once_stored(lambda: seen.append("second"))
        assert seen == []
    assert seen == [[1], "second"]
    await once_stored(lambda: seen.append("at once"))
    assert seen[-1] == "at once"
    assert await written(database) == [1, 2]


async def test_nothing_follows_a_transaction_that_is_rolled_back(database: Database) -> None:
    seen: list[str] = []
    with pytest.raises(KeyError):
        await do_together(database, lambda: once_stored(lambda: seen.append("first")), stop)
    async with database.together():
        with pytest.raises(KeyError):
            await do_together(database, lambda: once_stored(lambda: seen.append("nested")), stop)
        await once_stored(lambda: seen.append("whole"))
    assert seen == ["whole"]


async def test_a_call_that_fails_is_undone_alone(database: Database) -> None:
    async def fail(inside: Callable[[], object]) -> None:
        async with database.together(), database.transaction() as steps:
            await steps.change(WRITE, 2, "b")
            inside()

    async with database.together():
        await database.change(WRITE, 1, "a")
        with pytest.raises(DatabaseFault):
            await database.change(WRITE, 1, "twice")
        with pytest.raises(KeyError):
            await fail(stop)
        await database.change(WRITE, 3, "c")
    assert await written(database) == [1, 3]


async def test_a_failed_statement_that_a_call_hides_undoes_that_call(database: Database) -> None:
    async def hide() -> None:
        async with database.transaction() as steps:
            with pytest.raises(psycopg.errors.UniqueViolation):
                await steps.change(WRITE, 1, "b")

    async with database.together():
        await database.change(WRITE, 1, "a")
        with pytest.raises(DatabaseFault):
            await hide()
    assert await written(database) == [1]


async def test_a_canceled_block_changes_nothing(database: Database) -> None:
    seen: list[str] = []

    async def act() -> None:
        async with database.together():
            await once_stored(lambda: seen.append("done"))
            await database.change(WRITE, 1, "a")
            async with database.transaction() as steps:
                await steps.rows("SELECT pg_sleep(60)")

    task = asyncio.create_task(act())
    await eventually(lambda: asleep(database))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await asleep(database)
    assert (await written(database), seen) == ([], [])


async def test_a_cancellation_during_the_commit_lets_follow_what_follows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    committing, may_commit = asyncio.Event(), asyncio.Event()
    commit = database_module._commit

    async def slow(connection: Connection) -> None:
        committing.set()
        await may_commit.wait()
        await commit(connection)

    async def act() -> None:
        async with database.together():
            await database.change(WRITE, 1, "a")
            await once_stored(lambda: seen.append("done"))

    monkeypatch.setattr(database_module, "_commit", slow)
    task = asyncio.create_task(act())
    await committing.wait()
    task.cancel()
    may_commit.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await written(database), seen) == ([1], ["done"])


async def test_other_tasks_do_not_join_the_transaction(database: Database) -> None:
    seen: list[str] = []

    async def other() -> None:
        await once_stored(lambda: seen.append("at once"))
        await database.change(WRITE, 2, "other")
        assert await written(database) == [2]

    async def mine() -> None:
        await database.change(WRITE, 1, "mine")

    with pytest.raises(KeyError):
        await do_together(database, mine, lambda: asyncio.create_task(other()), stop)
    assert (await written(database), seen) == ([2], ["at once"])


async def test_two_tasks_at_once_have_a_transaction_each(database: Database) -> None:
    both = asyncio.Barrier(2)

    async def act(number: int, *, fails: bool) -> None:
        async with database.together():
            await database.change(WRITE, number, "x")
            await both.wait()
            assert await written(database) == [number]
            await both.wait()
            if fails:
                stop()

    found = await asyncio.gather(act(1, fails=False), act(2, fails=True), return_exceptions=True)
    assert [type(each) for each in found] == [type(None), KeyError]
    assert await written(database) == [1]


async def test_the_whole_is_on_disk_whatever_its_parts_ask_for(database: Database) -> None:
    async with database.together():
        async with database.transaction({**ON_NO_DISK, "enable_sort": "off"}) as steps:
            shown = [(await steps.rows(f"SHOW {name}"))[0][0] for name in ("synchronous_commit", "enable_sort")]
        assert shown == ["on", "off"]


async def test_a_snapshot_is_a_transaction_of_its_own(database: Database) -> None:
    async with database.together():
        await database.change(WRITE, 1, "a")
        async with database.transaction({"transaction_isolation": "repeatable read"}) as steps:
            assert await steps.rows("SELECT id FROM notes") == []
        assert await written(database) == [1]


async def test_waiters_of_the_queue_wake_after_the_commit(database: Database) -> None:
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
    queue = PostgresQueue(database)
    async with database.together():
        await queue.landed("acme", await promise(queue))
        assert not queue.changed.is_set()
    assert queue.changed.is_set()


async def test_a_connection_lost_before_the_commit_stores_nothing(database: Database, url: str) -> None:
    seen: list[str] = []
    write, follow = lambda: database.change(WRITE, 1, "a"), lambda: once_stored(lambda: seen.append("done"))
    with pytest.raises(TryAgain):
        await do_together(database, write, follow, lambda: end_others(url))
    assert (await written(database), seen) == ([], [])


async def test_a_connection_lost_in_a_commit_that_was_made_is_a_success(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    commit = database_module._commit

    async def lost(connection: Connection) -> None:
        await commit(connection)
        await end_others(url)
        await connection.execute("SELECT 1")

    monkeypatch.setattr(database_module, "_commit", lost)
    async with database.together():
        await database.change(WRITE, 1, "a")
        await once_stored(lambda: seen.append("done"))
    monkeypatch.undo()
    assert (await written(database), seen) == ([1], ["done"])


async def test_a_transaction_that_a_crash_lost_fails_although_another_has_its_number() -> None:
    with own_postgres() as server:
        async with alone(server.url) as database:
            await migrate(database)
        async with pooled(server.url, most=1) as database:
            with pytest.raises(DatabaseAway):  # noqa: PT012 - the commit comes with the end of the block
                async with database.together():
                    ((lost,),) = await database.read("SELECT pg_current_xact_id()::text::bigint")
                    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
                    server.stop()
                    server.start()
                    async with alone(server.url) as other:
                        while (await other.read("SELECT pg_current_xact_id()::text::bigint"))[0][0] < lost:
                            pass  # nearly always, one of these has the number, and is committed
            assert await database.read("SELECT * FROM tenants") == []


async def test_a_transaction_whose_number_was_not_given_again_fails_at_once() -> None:
    with own_postgres() as server:
        async with alone(server.url) as database:
            await migrate(database)
        async with pooled(server.url, most=1) as database:
            with pytest.raises(DatabaseAway) as error:  # noqa: PT012 - the commit comes with the end of the block
                async with database.together():
                    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
                    server.stop()
                    server.start()
            assert not isinstance(error.value, OutcomeUnknown)


async def test_proofs_of_commits_are_deleted_after_some_minutes(database: Database) -> None:
    for number in (1, 2):
        await do_together(database, lambda number=number: database.change(WRITE, number, "a"))  # type: ignore[misc]
        if number == 1:
            await database.change("UPDATE commits SET at = at - interval '1 hour'")
    await forget_proofs(database.change)
    assert len(await database.read("SELECT token FROM commits")) == 1
