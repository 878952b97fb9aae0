"""Stored tenants, and the data that is removed with one."""

from __future__ import annotations

import pytest

from engine.key_uses import Use
from engine.outbox import Message
from engine.store import Store
from engine.tenants import Tenant
from engine.tokens import Role
from importer.errors import DatabaseUnusable
from importer.model import ImportState
from importer.queue.notices import Channel, Notice
from tests.support.engines import SINCE, OpenStore
from tests.support.queues import enqueue
from tests.support.runs import arrive, end_in, put_in_line

NOW = "2026-03-01T12:00:00.000Z"


async def test_tenants_are_listed_by_name_and_found_by_it(engine: OpenStore) -> None:
    async with engine("globex", "acme") as store:
        assert [each.name for each in await store.tenants().list()] == ["acme", "globex"]
        assert await store.tenants().find("acme") == Tenant("acme", SINCE, 0)
        assert await store.tenants().find("initech") is None


async def test_a_tenant_survives_reopening_the_store(engine: OpenStore) -> None:
    async with engine() as store:
        await store.tenants().add(Tenant("acme", SINCE, 12))
    async with engine() as store:
        assert await store.tenants().list() == [Tenant("acme", SINCE, 12)]


async def test_import_ids_continue_from_the_last_of_the_tenant(store: Store) -> None:
    await store.tenants().add(Tenant("moved-in", SINCE, 12))
    assert await enqueue(store.imports(), "moved-in") == 13
    found = await store.tenants().find("moved-in")
    assert found
    assert found.last_import_id == 13


async def test_ids_of_runs_continue_from_the_last_of_the_tenant(store: Store) -> None:
    await store.tenants().add(Tenant("moved-in", SINCE, 12, 7))
    assert await put_in_line(store.runs(), "moved-in") == 8
    assert await store.tenants().find("moved-in") == Tenant("moved-in", SINCE, 12, 8)


async def test_removing_a_tenant_removes_all_its_data(store: Store) -> None:
    for name in ("acme", "globex"):
        if name == "globex":
            await store.tenants().add(Tenant(name, SINCE, 0))
        await enqueue(store.imports(), name)
        await put_in_line(store.runs(), name)
        await store.tokens().add(name.encode(), name, Role.OWNER, created_at=NOW, expires_at=None, comment="")
        await store.outbox().put([Notice(name, Channel.MAIL, "import 1", "{}")], now=NOW)
        await store.key_uses().write(name, {"SHA256:x": Use(NOW, "192.0.2.7")}, None)
    await store.tenants().remove("acme")

    async def kept(name: str) -> tuple[int, int, int, int, int]:
        tokens = [each for each in await store.tokens().list() if each.tenant == name]
        messages: list[Message] = await store.outbox().newest(name, 9)
        return (
            *(len(await store.imports().page(name)), len(tokens), len(messages)),
            *(len(await store.key_uses().of(name)), len(await store.runs().page(name))),
        )

    assert await kept("acme") == (0, 0, 0, 0, 0)
    assert await kept("globex") == (1, 1, 1, 1, 1)


async def test_logins_see_tenants_and_the_copies_they_need_at_once(store: Store) -> None:
    accounts = store.accounts()
    assert (accounts.has("acme"), accounts.has("globex")) == (True, False)
    assert accounts.copies_needed("acme") == []
    number = await enqueue(store.imports())
    assert accounts.copies_needed("acme") == [number]
    assert accounts.run_copies_needed("acme") == []
    await arrive(store.runs())
    await end_in(store.runs(), await put_in_line(store.runs()), ImportState.FAILED)
    await put_in_line(store.runs())
    assert accounts.run_copies_needed("acme") == [3]
    await store.tenants().remove("acme")
    assert not accounts.has("acme")
    accounts.close()
    with pytest.raises(DatabaseUnusable):
        accounts.has("acme")


async def test_ask_to_write_succeeds_on_a_writable_store(store: Store) -> None:
    await store.ask_to_write()


async def test_a_store_that_answers_is_not_away(engine: OpenStore) -> None:
    async with engine(serving=True) as store:
        await store.ask_to_write()
        assert not store.is_away()


async def test_a_reader_sees_committed_changes(engine: OpenStore) -> None:
    async with engine("acme", serving=True) as store:
        looking = store.looking()
        number = await enqueue(store.imports())
        assert [each.id for each in await looking.imports().page("acme")] == [number]
        await store.tenants().remove("acme")
        assert await looking.tenants().list() == []
