"""The store of a server on PostgreSQL: which part may wait for which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from engine.postgres import database
from engine.postgres.store import SERVERS_CONNECTIONS, PostgresStore, open_store
from engine.tenants import Tenant
from engine.tokens import Role, Token
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.postgres import waiting
from tests.support.queues import promise
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES)


async def test_a_reader_does_not_wait_while_every_connection_waits_for_a_write(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOCK_S", "AWAY_S"):
        monkeypatch.setattr(f"engine.postgres.database.{name}", 4 * DEADLINE_S)  # none of the writes gives up
    async with open_store(url, serving=True) as store:
        await store.tenants().add(Tenant("acme", SINCE, 0))
        with psycopg.connect(url) as other:
            other.execute("SELECT 1 FROM tenants FOR UPDATE")
            writes = [asyncio.create_task(promise(store.imports())) for _ in range(SERVERS_CONNECTIONS)]
            async with asyncio.timeout(2 * DEADLINE_S):
                await eventually(lambda: waiting(store.looking().database, SERVERS_CONNECTIONS))
                await read_all(store.looking())
                await read_all(store)
            assert not any(each.done() for each in writes)
        assert sorted(await asyncio.gather(*writes)) == list(range(1, SERVERS_CONNECTIONS + 1))


LATEST = "2027-01-01T00:00:00.000Z"
TIMES = {"now": SINCE, "ends": LATEST, "latest": LATEST}


@pytest.fixture
async def store(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStore]:
    """Return the store of a server whose transactions wait as long as a busy machine needs."""
    monkeypatch.setattr(database, "LOCK_S", 60.0)
    monkeypatch.setattr(database, "IDLE_S", 60.0)
    async with open_store(url, serving=True) as opened:
        await opened.tenants().add(Tenant("acme", SINCE, 0))
        yield opened


@pytest.fixture
async def token(store: PostgresStore) -> Token:
    """Return a token with a session and a link that have ended."""
    made = await store.tokens().add(b"t", "acme", Role.OWNER, created_at=SINCE, expires_at=None, comment="")
    assert made
    sign_ins = store.sign_ins()
    assert await sign_ins.open(b"old", made, now=SINCE, ends=SINCE, latest=LATEST)
    assert await sign_ins.add_link(b"old", made, now=SINCE, ends=SINCE, latest=LATEST)
    return made


async def remove(store: PostgresStore, token: Token) -> None:
    assert await store.tokens().remove(token.id)


async def move(store: PostgresStore, token: Token) -> None:
    assert await store.tokens().edit(token.id, lambda found, _: replace(found, email="ann@acme.example"))


async def open_session(store: PostgresStore, token: Token) -> bool:
    return await store.sign_ins().open(b"new", token, **TIMES)


async def add_link(store: PostgresStore, token: Token) -> bool:
    return await store.sign_ins().add_link(b"new", token, **TIMES)


@pytest.mark.parametrize(("change", "sign_in"), [(remove, open_session), (remove, add_link), (move, add_link)])
async def test_a_change_of_a_token_and_a_sign_in_end_without_a_deadlock(
    store: PostgresStore,
    token: Token,
    change: Callable[[PostgresStore, Token], Coroutine[Any, Any, None]],
    sign_in: Callable[[PostgresStore, Token], Coroutine[Any, Any, bool]],
) -> None:
    """The token is changed first: then nothing is stored for the token that was read before."""
    async with held(store, token):
        changing = asyncio.create_task(change(store, token))
        await eventually(lambda: waiting(store.looking().database, 1))
        signing = asyncio.create_task(sign_in(store, token))
        await eventually(lambda: waiting(store.looking().database, 2))
    await changing
    assert not await signing


@asynccontextmanager
async def held(store: PostgresStore, token: Token) -> AsyncIterator[None]:
    """Keep the row of a token locked."""
    async with store.database.transaction() as steps:
        await steps.rows("SELECT 1 FROM tokens WHERE id = %s FOR UPDATE", token.id)
        yield


async def read_all(store: PostgresStore) -> None:
    """Read what a request is checked with, or shown."""
    assert [each.name for each in await store.tenants().list()] == ["acme"]
    assert await store.tokens().find(b"1") is None
    assert await store.sign_ins().find(b"1", now=SINCE, latest=SINCE) is None
    assert await store.key_uses().of("acme") == {}
    assert await store.bans().sources() == set()
    async with store.hints().watch() as watch:
        assert await watch.newest() == 0
