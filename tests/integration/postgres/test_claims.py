"""Imports and runs of several servers: one start at a time, and a server that was taken for gone changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.server import node as node_module
from engine.postgres.server.node import PostgresNode
from engine.postgres.store import PostgresStore, open_store
from engine.postgres.tenant.users import PostgresUsers
from importer.errors import Stopped, TryAgain
from importer.folder import TenantFolder
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.rules.identity import BY_ADDRESS
from importer.users.importing.importing import Importing
from server.runs.recovery import recover_runs
from tests.integration.postgres.test_nodes import freeze
from tests.support.clients import POSTGRES, needs
from tests.support.engines import add_tenants
from tests.support.postgres import waiting
from tests.support.queues import NOON, enqueue, found, outcome, promise
from tests.support.runs import ended, put_in_line, start
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

NEXT_NUMBERS_TAKEN = (
    "INSERT INTO open_sessions SELECT tenant_id, number + next, -1 FROM open_sessions, generate_series(1, 2) AS next"
)
"""Lets the next sessions wait for the end of a transaction when they have counted the others."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "BEAT_S", 0.02)


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[PostgresStore]]:
    """Yield the stores of two servers."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_store(url, serving=True)) for _ in range(2)]
        await add_tenants(opened[0], ("acme", "globex"))
        yield opened


async def bury(database: Database, store: PostgresStore) -> None:
    """Let other servers take this one for gone. It is frozen: else it would soon be back."""
    assert isinstance(store.node, PostgresNode)
    freeze(store.node)
    await database.change("DELETE FROM nodes WHERE number = %s", store.node_number)


async def claimed(store: PostgresStore, database: Database) -> tuple[int, Entry, PostgresUsers]:
    """Let a server claim an import of acme; return its id, its entry, and the users as that server has them."""
    await PostgresUsers(database.url, "acme", database).prepare(make=True)
    number = await enqueue(store.imports())
    entry = await store.imports().claim("acme", number)
    assert entry
    return number, entry, PostgresUsers(database.url, "acme", node=store.node_number)


async def record(work: Importing) -> None:
    """Store that the import ended, as the last step of its effects."""
    await work.applied.record(outcome(ImportState.COMPLETED), NOON, None, (), compared=False)


async def test_servers_run_one_import_of_a_tenant_at_a_time(stores: list[PostgresStore]) -> None:
    first, second = (each.imports() for each in stores)
    older, newer, other = await enqueue(first), await enqueue(first), await enqueue(first, "globex")
    assert await first.claim("acme", older)
    assert await second.claim("acme", older) is None
    assert await second.claim("acme", newer) is None
    assert await second.queued_or_held("acme") == []
    assert await second.claim("globex", other)


async def test_a_server_that_others_take_for_gone_starts_nothing(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = stores
    number = await enqueue(first.imports())
    await put_in_line(first.runs())
    await bury(database, first)
    assert await first.imports().claim("acme", number) is None
    assert await first.runs().claim("acme", 1, sha256=None) is None
    assert (await found(second.imports(), number)).attempts == 0
    assert await second.imports().claim("acme", number)
    assert await second.runs().claim("acme", 1, sha256=None)


async def test_a_server_finds_what_it_has_started_itself(stores: list[PostgresStore]) -> None:
    first, second = stores
    running, arriving = await enqueue(first.imports()), await promise(first.imports(), "globex")
    assert await first.imports().claim("acme", running)
    await put_in_line(first.runs())
    await start(first.runs(), 1)
    assert [each.key for each in await first.imports().at_work_here()] == [("acme", running), ("globex", arriving)]
    assert [each.key for each in await first.runs().at_work_here()] == [("acme", 1)]
    assert await second.imports().at_work_here() == []
    assert await second.runs().at_work_here() == []


async def test_only_what_a_gone_server_left_is_taken_up(stores: list[PostgresStore], database: Database) -> None:
    first, second = (each.imports() for each in stores)
    running, arriving = await enqueue(first), await promise(first, "globex")
    assert await first.claim("acme", running)
    assert await second.cut_off() == []
    await bury(database, stores[0])
    assert [each.key for each in await second.cut_off()] == [("acme", running), ("globex", arriving)]


async def test_a_server_that_was_taken_for_gone_ends_no_later_start(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = (each.imports() for each in stores)
    number = await enqueue(first)
    old = await first.claim("acme", number)
    assert old
    await bury(database, stores[0])
    assert await second.requeue("acme", number, counted=True, claim=old.claim)
    assert not await second.requeue("acme", number, counted=True, claim=old.claim)
    new = await second.claim("acme", number)
    assert new
    assert new.attempts == 2

    ended = old.ended(outcome(ImportState.FAILED), NOON)
    assert not await first.finish(ended, published=True)
    assert not await first.requeue("acme", number, claim=old.claim)
    assert not await first.still_runs(old)
    await first.progress("acme", number, 0.9)
    assert (await found(second, number)).progress == 0
    assert await second.still_runs(new)
    assert await second.finish(new.ended(outcome(ImportState.COMPLETED), NOON), published=True)


async def test_a_server_that_was_taken_for_gone_stores_no_user(
    stores: list[PostgresStore], database: Database
) -> None:
    second = stores[1].imports()
    number, old, users = await claimed(stores[0], database)
    with pytest.raises(Stopped, match="another server"):  # noqa: PT012 - what the frozen one has begun
        async with users.importing(number, BY_ADDRESS, lambda _: None) as work:
            assert await second.requeue("acme", number, claim=old.claim)
            await record(work)
    assert await users.outcome_of(number) is None


async def test_a_server_that_was_taken_for_gone_begins_no_import_anew(
    stores: list[PostgresStore], database: Database
) -> None:
    second = stores[1].imports()
    number, old, users = await claimed(stores[0], database)
    assert await second.requeue("acme", number, claim=old.claim)
    with pytest.raises(Stopped, match="another server"):
        async with users.importing(number, BY_ADDRESS, lambda _: None):
            raise AssertionError
    with pytest.raises(Stopped, match="another server"):
        async with users.undoing(number, BY_ADDRESS):
            raise AssertionError


async def test_a_server_that_was_taken_for_gone_begins_no_import_that_another_one_runs(
    stores: list[PostgresStore], database: Database
) -> None:
    second = stores[1].imports()
    number, old, users = await claimed(stores[0], database)
    assert await second.requeue("acme", number, claim=old.claim)
    assert await second.claim("acme", number)
    with pytest.raises(Stopped, match="another server"):
        async with users.importing(number, BY_ADDRESS, lambda _: None):
            raise AssertionError


async def test_the_progress_of_an_import_that_stores_its_effects_is_not_waited_for(
    stores: list[PostgresStore], database: Database
) -> None:
    queue = stores[0].imports()
    number = await enqueue(queue)
    assert await queue.claim("acme", number)
    await queue.progress("acme", number, 0.25)
    async with database.transaction() as steps:
        await steps.rows("SELECT 1 FROM imports FOR SHARE")
        await queue.progress("acme", number, 0.5)  # to wait would be to give up in the end
    assert (await found(queue, number)).progress == 0.25


async def test_an_import_whose_effects_are_stored_is_not_queued_again(
    stores: list[PostgresStore], database: Database
) -> None:
    second = stores[1].imports()
    number, old, users = await claimed(stores[0], database)
    async with users.importing(number, BY_ADDRESS, lambda _: None) as work:
        await record(work)
    await bury(database, stores[0])
    assert not await second.requeue("acme", number, counted=True, claim=old.claim)
    assert await users.outcome_of(number)


async def test_an_import_whose_effects_are_just_being_stored_is_not_queued_again(
    stores: list[PostgresStore], database: Database
) -> None:
    second = stores[1].imports()
    number, old, users = await claimed(stores[0], database)
    async with users.importing(number, BY_ADDRESS, lambda _: None) as work:
        await record(work)
        requeuing = asyncio.ensure_future(second.requeue("acme", number, counted=True, claim=old.claim))
        await eventually(lambda: waiting(database, 1))
    assert not await requeuing
    assert await users.outcome_of(number)


async def test_an_undo_that_a_gone_server_has_not_stored_is_queued_again(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = (each.imports() for each in stores)
    number, entry, users = await claimed(stores[0], database)
    async with users.importing(number, BY_ADDRESS, lambda _: None) as work:
        await record(work)
    assert await first.finish(entry.ended(outcome(ImportState.COMPLETED), NOON), published=True)
    await first.undo("acme", number, by="Ann")
    old = await first.claim("acme", number)
    assert old
    await bury(database, stores[0])
    assert await second.requeue("acme", number, counted=True, claim=old.claim)


async def test_a_run_of_a_gone_server_is_taken_up_and_ended_once(
    stores: list[PostgresStore], database: Database, tmp_path: Path
) -> None:
    first, second = (each.runs() for each in stores)
    await put_in_line(first)
    old = await start(first, 1)
    assert await second.cut_off() == []
    await bury(database, stores[0])
    assert [each.key for each in await second.cut_off()] == [old.key]
    await recover_runs(second, None, lambda tenant: TenantFolder(tmp_path / tenant))  # type: ignore[arg-type]
    new = await start(second, 1)
    assert new.attempts == 2
    assert not await first.finish(replace(old, state=ImportState.FAILED), published=True)
    assert not await first.requeue(old, message=None, error=None, not_before=0.0)
    assert await second.finish(ended(new, ImportState.COMPLETED), published=True)


async def test_sessions_of_all_servers_count_for_the_limit(stores: list[PostgresStore], database: Database) -> None:
    first, second = (each.sessions() for each in stores)
    one, other = await first.open("acme", 2), await second.open("acme", 2)
    assert one is not None
    assert other is not None
    assert await first.open("acme", 2) is None
    assert await second.open("acme", 2) is None
    assert await second.open("globex", 2) is not None
    await first.close(one)
    assert await second.open("acme", 2) is not None
    await bury(database, stores[1])
    assert await first.open("acme", 2) is not None


async def test_simultaneous_logins_on_two_servers_keep_the_limit(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = (each.sessions() for each in stores)
    assert await first.open("acme", 2)
    async with database.transaction() as steps:
        await steps.change(NEXT_NUMBERS_TAKEN)
        opening = [asyncio.ensure_future(each.open("acme", 2)) for each in (first, second)]
        await eventually(lambda: waiting(database, 2))
        await steps.change("DELETE FROM open_sessions WHERE node = -1")
    assert [await each is None for each in opening].count(True) == 1


async def test_sessions_are_counted_again_after_a_crash_of_the_database(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = (each.sessions() for each in stores)
    kept, ended = await first.open("acme", 2), await first.open("acme", 2)
    assert kept is not None
    assert ended is not None
    await database.change("TRUNCATE open_sessions")
    await first.close(ended)
    await first.agree()
    assert await second.open("acme", 2) is not None
    assert await second.open("acme", 2) is None


async def test_the_last_session_whose_end_was_lost_counts_no_more(
    stores: list[PostgresStore], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = stores[0].sessions()
    number = await sessions.open("acme", 1)
    assert number
    monkeypatch.setattr("engine.postgres.database.LOCK_S", 0.1)
    async with database.transaction() as steps:
        await steps.rows("SELECT 1 FROM open_sessions FOR UPDATE")
        with pytest.raises(TryAgain):
            await sessions.close(number)
    for _ in range(2):
        await sessions.agree()
    assert await sessions.open("acme", 1)


async def test_sessions_that_were_lost_are_counted_only_as_far_as_there_is_room(
    stores: list[PostgresStore], database: Database
) -> None:
    first, second = (each.sessions() for each in stores)
    kept, over = await first.open("acme", 2), await first.open("acme", 2)
    assert kept
    await database.change("DELETE FROM open_sessions")  # as if the server had been taken for gone
    await database.change("INSERT INTO open_sessions SELECT id, 999, -1 FROM tenants")  # of one that is gone
    assert await second.open("acme", 2)
    assert await first.agree() == {over}
    assert await first.agree() == set()
    assert await second.open("acme", 2) is None
    await first.close(kept)
    assert await second.open("acme", 2)


async def test_a_server_that_others_take_for_gone_opens_no_session(
    stores: list[PostgresStore], database: Database
) -> None:
    await bury(database, stores[0])
    with pytest.raises(TryAgain):
        await stores[0].sessions().open("acme", 1)


async def test_a_session_whose_end_was_not_stored_is_removed(stores: list[PostgresStore], database: Database) -> None:
    sessions = stores[0].sessions()
    assert await sessions.open("acme", 2)
    await database.change("INSERT INTO open_sessions SELECT tenant_id, number + 1, node FROM open_sessions")
    for left in (2, 1):  # at the first look, it may be one that is just being opened
        await sessions.agree()
        assert (await database.read("SELECT count(*) FROM open_sessions"))[0][0] == left
