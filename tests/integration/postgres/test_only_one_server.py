"""One server at a time on a database, until the one before has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from engine.postgres.database import Database
from engine.postgres.server import serving as serving_module
from engine.postgres.server.serving import PostgresServing, ServerRow
from server.places import only_one
from server.places.only_one import the_only_one, this_server
from server.process import InUse
from tests.support.clients import POSTGRES, needs
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

NAME = "the database x"
ELSEWHERE = ServerRow("other", "elsewhere.example", "another machine", "7 7")


@pytest.fixture
def serving(database: Database, monkeypatch: pytest.MonkeyPatch) -> PostgresServing:
    monkeypatch.setattr(only_one, "RENEW_S", 0.02)
    monkeypatch.setattr(only_one, "LOOK_S", 0.05)
    return PostgresServing(database)


def of_process(pid: int) -> ServerRow:
    return replace(this_server(), process="killed", pid=only_one._pid(pid) or "")


async def test_a_server_is_seen_while_it_runs_and_not_after_it(serving: PostgresServing) -> None:
    async with the_only_one(serving, NAME, asyncio.Event()):
        first = await serving.found()
        assert await serving.lives()

        async def seen_again() -> bool:
            return await serving.found() != first

        await eventually(seen_again)
    assert not await serving.lives()
    assert await serving.found() is None


async def test_a_second_server_is_refused_while_the_first_one_runs(serving: PostgresServing) -> None:
    async with the_only_one(serving, NAME, asyncio.Event()):
        with pytest.raises(InUse, match=r"another server already runs on the database x \(on .*\)\. Stop it first"):
            async with the_only_one(serving, NAME, asyncio.Event()):
                pytest.fail("two servers run")
        assert await serving.lives()


@pytest.mark.logs("server_waits")
async def test_a_server_elsewhere_that_is_silent_is_waited_for(
    serving: PostgresServing, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(serving_module, "GONE_S", 0.3)
    monkeypatch.setattr(only_one, "GONE_S", 0.3)
    assert await serving.take(ELSEWHERE)
    begun = time.monotonic()
    async with the_only_one(serving, NAME, asyncio.Event()):
        assert time.monotonic() - begun > 0.2
        assert (await serving.found() or ELSEWHERE).process != "other"


async def test_a_server_that_was_killed_on_this_machine_is_not_waited_for(serving: PostgresServing) -> None:
    process = subprocess.Popen(["sleep", "60"])
    killed = of_process(process.pid)
    assert await serving.take(killed)
    process.send_signal(signal.SIGKILL)
    process.wait()
    async with the_only_one(serving, NAME, asyncio.Event()):
        assert (await serving.found() or killed).process != "killed"


async def test_another_process_with_the_same_number_is_not_the_server(serving: PostgresServing) -> None:
    assert await serving.take(replace(this_server(), process="killed", pid=f"{os.getpid()} 1"))
    async with the_only_one(serving, NAME, asyncio.Event()):
        assert (await serving.found() or ELSEWHERE).process != "killed"


@pytest.mark.logs("server_unnoted")
async def test_a_server_runs_on_while_the_database_cannot_be_told(
    serving: PostgresServing, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()
    async with the_only_one(serving, NAME, stop):
        await database.change("ALTER TABLE serving RENAME TO away")

        async def is_logged() -> bool:
            return "The database does not learn that this server runs" in caplog.text

        await eventually(is_logged)
        await database.change("ALTER TABLE away RENAME TO serving")
        assert not stop.is_set()


@pytest.mark.logs("server_replaced")
async def test_a_server_stops_when_another_one_has_taken_its_place(
    serving: PostgresServing, database: Database
) -> None:
    stop = asyncio.Event()
    async with the_only_one(serving, NAME, stop):
        await database.change("DELETE FROM serving")
        await database.change(
            "INSERT INTO serving (process, host, machine, pid, seen_at) VALUES ('x', 'y', 'z', '1 1', now())"
            " ON CONFLICT (one) DO UPDATE SET process = 'x'"
        )
        async with asyncio.timeout(10):
            await stop.wait()
    assert await serving.found()  # the other one stays
