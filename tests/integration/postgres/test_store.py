"""The store of a server on PostgreSQL: which part may wait for which."""

from __future__ import annotations

import asyncio

import psycopg

from engine.postgres.database import Database
from engine.postgres.store import SERVERS_CONNECTIONS, PostgresStore, open_store
from engine.tenants import Tenant
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.queues import promise

pytestmark = needs(POSTGRES)


async def test_a_reader_does_not_wait_while_every_connection_waits_for_a_write(url: str) -> None:
    async with open_store(url, serving=True) as store:
        await store.tenants().add(Tenant("acme", SINCE, 0))
        with psycopg.connect(url) as other:
            other.execute("SELECT 1 FROM tenants FOR UPDATE")
            writes = [asyncio.create_task(promise(store.imports())) for _ in range(SERVERS_CONNECTIONS)]
            async with asyncio.timeout(8):
                while await waiting(store.looking().database) < SERVERS_CONNECTIONS:
                    await asyncio.sleep(0.05)
                await read_all(store.looking())
                await read_all(store)
            assert not any(each.done() for each in writes)
        assert sorted(await asyncio.gather(*writes)) == list(range(1, SERVERS_CONNECTIONS + 1))


async def read_all(store: PostgresStore) -> None:
    """Read what a request is checked with, or shown."""
    assert [each.name for each in await store.tenants().list()] == ["acme"]
    assert await store.tokens().find(b"1") is None
    assert await store.sign_ins().find(b"1", now=SINCE, latest=SINCE) is None
    assert await store.key_uses().of("acme") == {}
    assert await store.bans().sources() == set()
    async with store.hints().watch() as watch:
        assert await watch.newest() == 0


async def waiting(database: Database) -> int:
    """Return how many connections wait for a lock."""
    ((number,),) = await database.read(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return int(number)
