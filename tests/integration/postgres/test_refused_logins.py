"""Logins while PostgreSQL refuses to write: they are refused at once. They wait for one that is away or busy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from engine.postgres.store import open_store
from engine.tenants import Tenant
from importer.errors import DatabaseAway
from tests.support.clients import POSTGRES, needs
from tests.support.demoting import (
    DEMOTIONS,
    RELOAD,
    WRITABLE,
    configure,
    demoted,
    make_tables,
    refuses,
    writing,
)
from tests.support.engines import SINCE
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES)


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as started:
        asyncio.run(make_tables(started.url))
        yield started


def is_read_only(postgres: OwnPostgres) -> bool:
    """Return whether new transactions are refused to write: connections from before have been told so, too."""
    with psycopg.connect(postgres.url) as reader:
        return reader.execute("SHOW transaction_read_only").fetchone() == ("on",)


def is_blocked(postgres: OwnPostgres) -> bool:
    """Return whether the pulse waits for the table that another connection has locked."""
    with psycopg.connect(postgres.url) as admin:
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'marks'::regclass AND NOT granted"
        return admin.execute(waiting).fetchone() == (1,)


@pytest.mark.usefixtures("patient", "waiting_long")
@pytest.mark.parametrize("how", DEMOTIONS)
async def test_a_login_does_not_wait_for_a_database_that_refuses_to_write(postgres: OwnPostgres, how: str) -> None:
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant(how, SINCE, 0))
        with demoted(postgres, how):
            await eventually(lambda: refuses(store._pulse))
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(DatabaseAway, match="cannot be written"):
                    await store.sessions().open(how, 1)
        await eventually(lambda: not store.is_away())
        assert await store.sessions().open(how, 1) is not None


@pytest.mark.usefixtures("patient", "waiting_long")
@pytest.mark.parametrize("how", ["restart", "standby"])
async def test_a_login_that_waits_is_refused_when_the_database_refuses_to_write(
    postgres: OwnPostgres, how: str
) -> None:
    """After a restart, logins come before the pulse has asked. One connection is tried at a time."""
    name, other = f"wait-{how}", Tenant(f"late-{how}", SINCE, 0)
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant(name, SINCE, 0))
        with demoted(postgres, how):
            adding = asyncio.create_task(store.tenants().add(other))  # waits for a host that writes
            opening = [asyncio.create_task(store.sessions().open(name, 1)) for _ in range(3)]
            await asyncio.sleep(0)
            assert not refuses(store._pulse)
            async with asyncio.timeout(DEADLINE_S):
                ended = await asyncio.gather(*opening, return_exceptions=True)
            assert [type(each) for each in ended] == [DatabaseAway] * 3
            assert all("cannot be written" in str(each) for each in ended)
            assert not adding.done()
        await adding
        await eventually(lambda: not store.is_away())
        assert await store.sessions().open(name, 1) is not None


@pytest.mark.usefixtures("patient", "waiting_long")
async def test_a_login_waits_after_a_refusal_that_the_pulse_has_not_heard(postgres: OwnPostgres) -> None:
    """Another host may take over."""
    async with open_store(postgres.url, serving=True) as store:
        await store.tenants().add(Tenant("ekko", SINCE, 0))
        with writing(postgres) as admin, admin.transaction():
            admin.execute("LOCK TABLE marks")
            await eventually(lambda: is_blocked(postgres))
            with demoted(postgres):
                await eventually(lambda: is_read_only(postgres))
                async with asyncio.timeout(DEADLINE_S):
                    with pytest.raises(DatabaseAway, match="cannot be written"):
                        await store.sessions().open("ekko", 1)
                opening = asyncio.create_task(store.sessions().open("ekko", 1))
                await asyncio.wait([opening], timeout=1)  # several tries
                assert not refuses(store._pulse)
            assert await opening is not None


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
                await eventually(lambda: not is_read_only(postgres))
                await eventually(lambda: is_blocked(postgres) and not refuses(store._pulse))
                assert store.is_away()
                assert await store.sessions().open("dahl", 1) is not None
