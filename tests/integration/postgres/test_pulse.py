"""The pulse of PostgreSQL: whether it can be used is known within two seconds, without a wait for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.postgres.connecting import Connection, connect
from engine.postgres.pool import is_read_only
from engine.postgres.pulse import Pulse, _refusal, feeling_pulse
from engine.postgres.store import open_store
from engine.postgres.urls import each_host
from importer.errors import DatabaseAway, TryAgain
from tests.support.clients import POSTGRES, needs
from tests.support.demoting import demoted, make_tables, refuses, writing
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


@pytest.fixture
def heard() -> Heard:
    return Heard()


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


@pytest.mark.usefixtures("patient", "waiting_long")
async def test_a_server_learns_without_a_wait_that_it_cannot_write(postgres: OwnPostgres, heard: Heard) -> None:
    async with open_store(postgres.url, serving=True, heard=heard) as store:
        await store.ask_to_write()
        postgres.stop()
        try:
            await eventually(lambda: heard)
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(DatabaseAway):
                    await store.ask_to_write()
            assert store.is_away()
        finally:
            postgres.start()  # in this thread: it ends with the one that starts it
        await eventually(lambda: heard[-1] is None)
        await store.ask_to_write()
        assert not store.is_away()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://", [{}]),
        ("postgresql://u:s%40@one/d", [{"host": "one"}]),
        ("postgresql://u:s%40@one:1,[::2]:2/d", [{"host": "one", "port": "1"}, {"host": "::2", "port": "2"}]),
        ("postgresql://u:s%40@one,two/d?port=7", [{"host": "one", "port": "7"}, {"host": "two", "port": "7"}]),
        ("hostaddr=::1,::2 user=u password=s@ dbname=d", [{"hostaddr": "::1"}, {"hostaddr": "::2"}]),
    ],
)
def test_each_host_of_a_url_is_one_to_connect_to(url: str, hosts: list[dict[str, str]]) -> None:
    same = {"user": "u", "password": "s@", "dbname": "d"} if hosts != [{}] else {}
    assert [conninfo_to_dict(each) for each in each_host(url)] == [{**same, **host} for host in hosts]


async def refusal(url: str) -> Exception:
    """Return how the database refuses to write."""
    found = await _refusal(url)
    assert found
    return found


def of_both(*hosts: OwnPostgres) -> str:
    """Return the URL of a database with these hosts."""
    facts = [conninfo_to_dict(each.url) for each in hosts]
    return make_conninfo(
        hosts[0].url, **{key: ",".join(str(each[key]) for each in facts) for key in ("host", "port")}
    )


@pytest.mark.usefixtures("patient")
async def test_a_database_of_two_hosts_refuses_to_write_only_if_both_do(postgres: OwnPostgres, heard: Heard) -> None:
    """One that is away may be the primary, which is back in a moment."""
    with own_postgres() as other:
        await make_tables(other.url)
        url = of_both(postgres, other)
        with demoted(postgres):
            async with feeling_pulse(url, heard) as pulse:
                other.stop()
                assert "cannot be reached" in await eventually(lambda: why_away(pulse))
                assert not refuses(pulse)
                with demoted(other, "standby"):
                    await eventually(lambda: refuses(pulse))
                await eventually(lambda: why_away(pulse) is None)


async def test_both_hosts_are_asked_at_the_same_time_whether_they_refuse_to_write(
    postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, slow connections would look like silence at each beat."""
    both = asyncio.Barrier(2)

    async def connect_with_the_other(host: str, **lines: Any) -> Connection:
        async with asyncio.timeout(DEADLINE_S):
            await both.wait()
        return await connect(host, **lines)

    monkeypatch.setattr("engine.postgres.pulse.connect", connect_with_the_other)
    monkeypatch.setattr("engine.postgres.pulse.REFUSAL_S", 2 * DEADLINE_S)
    with own_postgres() as other:
        await make_tables(other.url)
        with demoted(postgres), demoted(other):
            assert is_read_only(await refusal(of_both(postgres, other)))


async def test_a_host_that_is_silent_does_not_refuse_to_write(
    postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.pulse.REFUSAL_S", 0.2)
    with demoted(postgres):
        with writing(postgres) as admin, admin.transaction():
            admin.execute("LOCK TABLE marks")  # the question waits for it
            async with asyncio.timeout(DEADLINE_S):
                assert await _refusal(postgres.url) is None
        monkeypatch.setattr("engine.postgres.pulse.REFUSAL_S", DEADLINE_S)
        assert is_read_only(await refusal(postgres.url))
