"""The pulse of PostgreSQL: whether it can be used is known within two seconds, without a wait for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from engine.postgres.connecting import Connection, connect
from engine.postgres.database import alone
from engine.postgres.migrations import migrate
from engine.postgres.pool import is_read_only
from engine.postgres.pulse import Pulse, _refusal, feeling_pulse
from engine.postgres.store import open_store
from engine.postgres.urls import each_host
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


@pytest.fixture
def waiting_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer wait for a connection until the test has failed."""
    monkeypatch.setattr("engine.postgres.database.AWAY_S", 4 * DEADLINE_S)


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


READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"
RELOAD = "SELECT pg_reload_conf()"
STANDBY = "standby.signal"
"""The file with which PostgreSQL starts as a standby."""


def writing(postgres: OwnPostgres) -> psycopg.Connection[Any]:
    """Return a connection that may write although the database refuses that by default."""
    url = f"{postgres.url}&options=-cdefault_transaction_read_only%3Doff"
    return psycopg.connect(url, autocommit=True)


def configure(postgres: OwnPostgres, *statements: str) -> None:
    with writing(postgres) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def restart_read_only(postgres: OwnPostgres) -> None:
    configure(postgres, READ_ONLY)
    postgres.stop()
    postgres.start()


def restart_as_standby(postgres: OwnPostgres) -> None:
    postgres.stop()
    (postgres.data / STANDBY).touch()
    postgres.start()


DEMOTIONS: dict[str, Callable[[OwnPostgres], None]] = {
    "reload": lambda postgres: configure(postgres, READ_ONLY, RELOAD),
    "restart": restart_read_only,
    "standby": restart_as_standby,
}


@contextmanager
def demoted(postgres: OwnPostgres, how: str = "reload") -> Iterator[None]:
    """Let the database refuse to write in the block."""
    try:
        DEMOTIONS[how](postgres)
        yield
    finally:
        if (postgres.data / STANDBY).exists():
            postgres.stop()
            (postgres.data / STANDBY).unlink()
            postgres.start()
        configure(postgres, WRITABLE, RELOAD)


def refuses(pulse: Pulse | None) -> bool:
    """Return whether the newest answer was a refusal to write."""
    assert pulse
    try:
        pulse.check_writes()
    except DatabaseAway:
        return True
    return False


@pytest.mark.usefixtures("patient", "waiting_long")
@pytest.mark.parametrize("how", DEMOTIONS)
async def test_a_login_does_not_wait_for_a_database_that_refuses_to_write(postgres: OwnPostgres, how: str) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant(how, SINCE, 0))
        with demoted(postgres, how):
            await eventually(lambda: refuses(store._pulse))
            for _ in range(2):  # after the first refusal, a writer would wait for another host
                async with asyncio.timeout(DEADLINE_S):
                    with pytest.raises(DatabaseAway, match="cannot be written"):
                        await store.sessions().open(how, 1)
        await eventually(lambda: not store.is_away())
        assert await store.sessions().open(how, 1) is not None


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


@pytest.mark.usefixtures("patient", "waiting_long")
async def test_a_login_waits_for_a_database_that_refused_to_write_before_its_restart(postgres: OwnPostgres) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("cord", SINCE, 0))
        with demoted(postgres):
            await eventually(lambda: refuses(store._pulse))
            configure(postgres, WRITABLE)
            postgres.stop()
            try:
                await eventually(lambda: not refuses(store._pulse))
                opening = asyncio.create_task(store.sessions().open("cord", 1))
                await asyncio.sleep(0)  # it waits now, or has been refused
            finally:
                postgres.start()
            assert await opening is not None


async def test_a_login_is_not_refused_by_a_database_that_is_only_busy(postgres: OwnPostgres) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("bolt", SINCE, 0))
        with writing(postgres) as admin, admin.transaction():
            admin.execute("LOCK TABLE marks")  # the pulse waits for it
            await eventually(store.is_away)
            assert await store.sessions().open("bolt", 1) is not None


async def test_a_login_waits_for_a_database_that_refused_to_write_and_is_only_busy_now(
    postgres: OwnPostgres,
) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("dahl", SINCE, 0))
        with demoted(postgres):
            await eventually(lambda: refuses(store._pulse))
            with writing(postgres) as admin, admin.transaction():
                admin.execute("LOCK TABLE marks")
                configure(postgres, WRITABLE, RELOAD)
                await eventually(lambda: not refuses(store._pulse))
                assert store.is_away()
                assert await store.sessions().open("dahl", 1) is not None
