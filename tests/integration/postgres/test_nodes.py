"""Servers on one database: each is heard of as long as it holds its lock, and one of them leads."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager

import psycopg
import pytest

from engine.postgres.database import IDLE_S, LOCK_S, Database, Steps, alone
from engine.postgres.importing.work import SETTINGS
from engine.postgres.rows import Row
from engine.postgres.server import node as node_module
from engine.postgres.server.node import LEADER_LOCK, LOCK, PostgresNode, a_server_runs, hold_work, joined
from importer.errors import TryAgain
from server.tenants.moves import SOURCE, TARGET
from tests.support.clients import POSTGRES, needs
from tests.support.relay import relay
from tests.support.waiting import DEADLINE_S, eventually, wait_until

pytestmark = needs(POSTGRES)

HELD = """
    FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
"""The lock in this database alone: other tests have servers with the same numbers."""
HOLDER = f"SELECT pid {HELD}"
CUT = f"SELECT pg_terminate_backend(pid) {HELD}"

RUNNING = """
    WITH made AS (INSERT INTO tenants (name, created_at) VALUES ('acme', 'now') RETURNING id)
    INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at, started_at, node)
    SELECT id, 1, 'running', false, 1, '/sync_users.csv', 1, 'now', 'now', %s FROM made RETURNING tenant_id, id"""
IDLE = "SHOW idle_in_transaction_session_timeout"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEAT_S", "AGAIN_S"):
        monkeypatch.setattr(node_module, name, 0.02)


@pytest.fixture
async def others(database: Database) -> AsyncIterator[list[PostgresNode]]:
    """Yield two servers, of which the first leads."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(joined(database.url, database)) for _ in range(2)]


class Ice(threading.Event):
    """Ends a server, and holds its thread until then."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.holds.set()
        return super().wait()


def freeze(node: PostgresNode) -> None:
    """Hold the thread of a server between two beats until the server ends."""
    node._ending = ice = Ice()
    assert ice.holds.wait(DEADLINE_S)


@contextmanager
def kept_away(node: PostgresNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a server make no connection in the block: it is surely silent for long enough to be looked for."""
    may_connect, connect = threading.Event(), node._connect

    def late(timeout_s: float) -> psycopg.Connection[Row]:
        may_connect.wait(DEADLINE_S)
        return connect(timeout_s)

    monkeypatch.setattr(node, "_connect", late)
    try:
        yield
    finally:
        may_connect.set()


async def numbers(database: Database) -> list[int]:
    return [row[0] for row in await database.read("SELECT number FROM nodes ORDER BY number")]


async def an_import_of(steps: Steps, node: PostgresNode) -> tuple[int, int]:
    """Store an import that the server runs; return the ids of its tenant and of itself."""
    return (await steps.rows(RUNNING, node.number))[0]


async def test_a_server_is_known_while_it_runs_and_not_after_it(database: Database) -> None:
    assert not await a_server_runs(database)
    async with joined(database.url, database) as node:
        assert await a_server_runs(database)
        assert await numbers(database) == [node.number]
    assert not await a_server_runs(database)
    assert await numbers(database) == []


async def test_one_server_leads_and_another_one_after_it(others: list[PostgresNode], database: Database) -> None:
    first, second = others
    await eventually(first.leads)
    assert not second.leads()
    first.end()
    await eventually(second.leads)
    assert not first.leads()


async def test_a_server_that_is_gone_for_a_moment_keeps_its_work(
    others: list[PostgresNode], database: Database
) -> None:
    first, second = others
    (held,) = await database.read(HOLDER, LOCK, first.number)
    await database.read(CUT, LOCK, first.number)
    await second.bury(1000)
    assert await numbers(database) == [first.number, second.number]

    async def is_back() -> bool:
        return not {held[0]}.issuperset(row[0] for row in await database.read(HOLDER, LOCK, first.number))

    await eventually(is_back)
    await second.bury(0)
    assert await numbers(database) == [first.number, second.number]


async def test_the_silence_of_a_server_that_was_back_is_counted_anew(
    others: list[PostgresNode], database: Database
) -> None:
    first, second = others
    number = second.number + 1
    await database.change("INSERT INTO nodes VALUES (%s, 'elsewhere', 1)", number)
    await second.bury(0.05)
    silent_since = time.monotonic()
    async with database.transaction() as steps:
        await steps.rows("SELECT pg_advisory_xact_lock(%s, %s)", LOCK, number)
        await second.bury(0.05)
    await eventually(lambda: time.monotonic() - silent_since > 0.1)
    await second.bury(0.05)
    assert await numbers(database) == [first.number, second.number, number]


async def test_the_sessions_of_a_gone_server_are_deleted_with_it(
    others: list[PostgresNode], database: Database
) -> None:
    first, second = others
    gone = second.number + 1
    await database.change("INSERT INTO nodes VALUES (%s, 'elsewhere', 1)", gone)
    for node in (first.number, gone):
        await database.change("INSERT INTO open_sessions VALUES (1, %s, %s)", node, node)
    await second.bury(0)
    assert [row[0] for row in await database.read("SELECT node FROM open_sessions")] == [first.number]


@pytest.mark.logs("server_unheard")
async def test_a_server_that_was_taken_for_gone_goes_on_with_its_number(
    others: list[PostgresNode],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = others
    with kept_away(first, monkeypatch):
        await database.read(CUT, LOCK, first.number)

        async def is_gone() -> bool:
            await second.bury(0)
            return await numbers(database) == [second.number]

        await eventually(is_gone)

    await eventually(lambda: "had not heard of this server" in caplog.text)
    assert await numbers(database) == [first.number, second.number]


@pytest.mark.logs("server_lock_missing")
async def test_a_server_that_gets_no_lock_says_why(
    others: list[PostgresNode],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, _ = others
    monkeypatch.setattr(node_module, "UNHEARD_S", 0.3)
    monkeypatch.setattr(node_module, "TOLD_S", 0.3)
    monkeypatch.setattr(first, "_url", f"{database.url}&options=-cnonsense%3D1")
    await database.read(CUT, LOCK, first.number)
    why = 'unrecognized configuration parameter "nonsense"); other servers take it for gone'
    await eventually(lambda: any(why in each for each in caplog.messages))
    with pytest.raises(TryAgain) as unheard:
        first.check()
    assert "nonsense" in unheard.value.in_full
    assert "nonsense" not in unheard.value.message
    monkeypatch.setattr(first, "_url", database.url)
    await eventually(lambda: not first._why)


async def takes_over(second: PostgresNode, first: PostgresNode) -> None:
    """Wait until the second server leads. The first one does not, while the second does."""
    led_by_both = False

    def has_changed() -> bool:
        nonlocal led_by_both
        led_by_both = led_by_both or (second.leads() and first.leads())
        return second.leads()

    await eventually(has_changed)
    assert not led_by_both


async def test_a_frozen_leader_does_not_lead_any_more(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FROZEN_S", 1)
    monkeypatch.setattr(node_module, "BEGIN", node_module.BEGIN.replace("'6s'", "'1s'"))
    monkeypatch.setattr(node_module, "SURE_S", 0.3)
    async with joined(database.url, database) as first:
        freeze(first)
        async with joined(database.url, database) as second:
            await takes_over(second, first)
            assert not first.leads()


async def test_no_other_server_leads_while_one_that_was_cut_off_is_sure(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "SURE_S", 1.0)
    async with joined(database.url, database) as first, joined(database.url, database) as second:
        await eventually(first.leads)
        freeze(first)  # it does not notice
        await database.read(CUT, LEADER_LOCK, 0)
        await takes_over(second, first)


async def test_a_connection_that_hangs_is_made_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "FROZEN_S", 1.0)
    monkeypatch.setattr(node_module, "BEGIN", node_module.BEGIN.replace("'6s'", "'1s'"))
    async with (
        relay(database.url) as between,
        joined(between.url, database) as first,
        joined(database.url, database) as second,
    ):
        with kept_away(first, monkeypatch):
            between.hang(node_module.NAME)

            async def is_gone() -> bool:
                await second.bury(0)
                return await numbers(database) == [second.number]

            await eventually(is_gone)

        async def is_back() -> bool:
            return await numbers(database) == [first.number, second.number]

        await eventually(is_back)


async def test_a_start_waits_for_a_database_that_is_slow_to_take_connections(database: Database) -> None:
    async with relay(database.url) as between:
        between.delay_s = 3
        async with joined(between.url, database) as node:
            assert await numbers(database) == [node.number]


async def test_a_start_that_is_canceled_leaves_no_lock_and_no_row(database: Database) -> None:
    async with relay(database.url) as between:
        between.delay_s = 1
        starting = asyncio.create_task(joined(between.url, database).__aenter__())
        await asyncio.sleep(0.5)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.get_running_loop().shutdown_default_executor()
        assert (await numbers(database), await a_server_runs(database)) == ([], False)


async def test_a_server_that_ends_before_its_first_beat_leaves_no_lock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = PostgresNode(database.url, database)
    monkeypatch.setattr(node._thread, "start", lambda: None)
    await asyncio.to_thread(node.begin)
    monkeypatch.undo()
    node._ending.set()
    node._thread.start()
    await asyncio.to_thread(node._thread.join)
    assert (await numbers(database), await a_server_runs(database)) == ([], False)


async def test_a_move_that_begins_while_a_server_joins_again_stops_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark of the move is put after the server has looked for it, and before others find its lock."""
    connect, made = node_module.connect_blocking, []

    def put_mark(url: str, name: str, timeout_s: float) -> psycopg.Connection[Row]:
        made.append(name)
        if len(made) == 2:
            with psycopg.connect(url, autocommit=True) as moving:
                wait_until(lambda: not moving.execute(node_module.RUNS).fetchone())
                moving.execute("INSERT INTO marks (name, text) VALUES (%s, '')", [SOURCE])
        return connect(url, name, timeout_s)

    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with joined(database.url, database) as node:
        monkeypatch.setattr(node_module, "connect_blocking", put_mark)
        await database.read(CUT, LOCK, node.number)
        await asyncio.wait_for(stopped.wait(), DEADLINE_S)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    async def none_runs() -> bool:
        return not await a_server_runs(database)

    await eventually(none_runs)


async def test_a_start_lets_go_only_of_servers_whose_processes_have_ended(database: Database) -> None:
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    here = socket.gethostname()
    # A container that starts again has the number of the process before it.
    for host, pid in ((here, ended.pid), (here, os.getpid()), (here, os.getppid()), ("elsewhere", ended.pid)):
        await database.change("INSERT INTO nodes (host, pid) VALUES (%s, %s)", host, pid)
    known = await numbers(database)
    async with joined(database.url, database) as node:
        assert await numbers(database) == [*known[2:], node.number]


async def test_only_work_that_ends_with_its_server_may_be_idle_for_long(database: Database) -> None:
    async with database.transaction(SETTINGS) as steps:
        assert [*(await steps.rows(IDLE))[0]] == [f"{IDLE_S:.0f}s"]
        await hold_work(steps, 1, 1, None)
        assert [*(await steps.rows(IDLE))[0]] == [node_module.LONG]


def test_a_client_waits_longer_than_a_frozen_server_holds_a_tenant() -> None:
    assert LOCK_S > IDLE_S + 1


async def test_work_that_a_gone_server_has_open_is_ended(others: list[PostgresNode], database: Database) -> None:
    first, second = others
    async with alone(database.url) as work:
        with pytest.raises(TryAgain):  # noqa: PT012 - the transaction of a frozen server
            async with work.transaction() as steps:
                await hold_work(steps, *await an_import_of(steps, first), first.number)
                first.end()
                await database.change("INSERT INTO nodes VALUES (%s, 'here', 1)", first.number)
                await second.bury(0)
                await steps.rows("SELECT 1")


def test_a_database_that_is_away_is_told_at_the_start() -> None:
    url = "postgresql://headcount@127.0.0.1:1/x"
    with pytest.raises(TryAgain, match="cannot be reached"):
        PostgresNode(url, Database(url, psycopg.AsyncConnection)).begin()  # type: ignore[arg-type]


def test_a_server_that_was_gone_looks_for_the_marks_of_a_move() -> None:
    assert f"('{SOURCE}', '{TARGET}')" in node_module.MOVED
