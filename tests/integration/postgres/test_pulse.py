"""The pulse of PostgreSQL: whether it can be used is known within two seconds, without a wait for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from engine.postgres.database import alone
from engine.postgres.migrations import migrate
from engine.postgres.pulse import Pulse, feeling_pulse
from engine.postgres.store import open_store
from engine.tenants import Tenant
from importer.errors import DatabaseAway, TryAgain
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES)


class Heard(list[str | None]):
    """The reasons that a pulse told, and None for each time that the database was back."""

    def __call__(self, why: Exception | None) -> None:
        self.append(why.in_full if isinstance(why, TryAgain) else why and str(why))


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as started:
        asyncio.run(make_tables(started.url))
        yield started


async def make_tables(url: str) -> None:
    async with alone(url) as database:
        await migrate(database)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slow answer count as silence."""
    monkeypatch.setattr("engine.postgres.pulse.SILENT_S", DEADLINE_S)


@pytest.fixture
async def pulse(postgres: OwnPostgres, heard: Heard) -> AsyncIterator[Pulse]:
    async with feeling_pulse(postgres.url, heard) as felt:
        await eventually(lambda: len(backends(postgres)) == 1, what="the end of the connections of others")
        yield felt


def backends(postgres: OwnPostgres) -> list[int]:
    """Return the processes of PostgreSQL that have a connection of Headcount."""
    with psycopg.connect(postgres.url) as admin:
        rows = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'headcount'")
        return [row[0] for row in rows]


def why_away(pulse: Pulse) -> str | None:
    try:
        pulse.check()
    except DatabaseAway as error:
        return error.in_full
    return None


@pytest.mark.usefixtures("patient")
async def test_a_stop_and_a_start_are_heard_once(postgres: OwnPostgres, pulse: Pulse, heard: Heard) -> None:
    assert why_away(pulse) is None
    postgres.stop()
    try:
        assert "cannot be reached" in await eventually(lambda: why_away(pulse))
        await asyncio.sleep(2)  # several questions
    finally:
        postgres.start()  # in this thread: it ends with the one that starts it
    await eventually(lambda: why_away(pulse) is None)
    assert [why is None for why in heard] == [False, True]


@pytest.mark.usefixtures("patient")
async def test_a_lost_connection_alone_is_nothing(postgres: OwnPostgres, pulse: Pulse, heard: Heard) -> None:
    before = backends(postgres)
    with psycopg.connect(postgres.url) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", before)
    await eventually(lambda: set(backends(postgres)) - set(before))
    assert heard == []


async def test_a_database_that_is_silent_is_away_until_it_answers(
    postgres: OwnPostgres, pulse: Pulse, heard: Heard
) -> None:
    (frozen,) = backends(postgres)
    os.kill(frozen, signal.SIGSTOP)
    try:
        assert await eventually(lambda: why_away(pulse)) == "the database cannot be reached: it does not answer"
    finally:
        os.kill(frozen, signal.SIGCONT)
    await eventually(lambda: why_away(pulse) is None)
    assert heard[-1] is None


@pytest.mark.usefixtures("patient")
async def test_a_server_learns_without_a_wait_that_it_cannot_write(postgres: OwnPostgres, heard: Heard) -> None:
    async with open_store(postgres.url, serving=True, heard=heard) as store:
        await store.ask_to_write()
        postgres.stop()
        try:
            await eventually(lambda: heard)
            async with asyncio.timeout(1):
                with pytest.raises(DatabaseAway):
                    await store.ask_to_write()
            assert store.is_away()
        finally:
            postgres.start()  # in this thread: it ends with the one that starts it
        await eventually(lambda: heard[-1] is None)
        await store.ask_to_write()
        assert not store.is_away()


READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"


async def test_a_login_does_not_wait_for_a_database_that_refuses_to_write(
    postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.database.AWAY_S", 4 * DEADLINE_S)  # a writer waits until the end
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("acme", SINCE, 0))
        url = f"{postgres.url}&options=-cdefault_transaction_read_only%3Doff"
        with psycopg.connect(url, autocommit=True) as admin:
            try:
                for statement in (READ_ONLY, "SELECT pg_reload_conf()"):
                    admin.execute(statement)
                await eventually(store.is_away)
                for _ in range(2):  # after the first refusal, a writer would wait for another host
                    async with asyncio.timeout(DEADLINE_S):
                        with pytest.raises(DatabaseAway, match=r"cannot be reached|cannot be written"):
                            await store.sessions().open("acme", 1)
            finally:
                for statement in (WRITABLE, "SELECT pg_reload_conf()"):
                    admin.execute(statement)
            await eventually(lambda: not store.is_away())
            assert await store.sessions().open("acme", 1) is not None


async def test_a_login_is_not_refused_by_a_database_that_is_only_busy(postgres: OwnPostgres) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("bolt", SINCE, 0))
        with psycopg.connect(postgres.url) as admin:
            admin.execute("LOCK TABLE marks")  # the pulse waits for it
            await eventually(store.is_away)
            assert await store.sessions().open("bolt", 1) is not None
