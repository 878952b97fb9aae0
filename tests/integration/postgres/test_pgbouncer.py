"""Everything works through pgbouncer in transaction mode, where each transaction may have another connection."""

from __future__ import annotations

import asyncio

import pytest

from engine.postgres.database import ON_NO_DISK, alone, pooled
from engine.postgres.store import open_store
from engine.tenants import Tenant
from engine.tokens import Role
from importer.errors import DatabaseAway
from importer.model import ImportState
from importer.queue.notices import Channel, Notice
from tests.support.clients import POSTGRES, needs
from tests.support.engines import add_tenants
from tests.support.queues import NOON, enqueue, outcome

pytestmark = needs(POSTGRES, "pgbouncer")

AT = "2026-03-01T12:00:00.000Z"


async def test_clients_with_more_connections_than_the_server_share_them(through: str) -> None:
    async with open_store(through, serving=True) as store:
        await store.tenants().add(Tenant("acme", AT, 0))

        async def add(number: int) -> None:
            facts = {"created_at": AT, "expires_at": None, "comment": ""}
            token = await store.tokens().add(b"%d" % number, "acme", Role.VIEWER, **facts)
            assert token
            await store.tokens().edit(token.id, lambda token, _: token)

        await asyncio.gather(*(add(number) for number in range(40)))
        assert len(await store.tokens().of("acme")) == 40


async def test_uploads_and_ends_of_many_tenants_share_the_connections(through: str) -> None:
    tenants = [f"t{number}" for number in range(12)]
    async with open_store(through, serving=True) as store:
        queue = store.imports()
        await add_tenants(store, tuple(tenants))

        async def apply(tenant: str) -> None:
            for _ in range(2):
                entry = await queue.claim(tenant, await enqueue(queue, tenant))
                assert entry
                ended = entry.ended(outcome(ImportState.COMPLETED), NOON)
                notice = Notice(tenant, Channel.MAIL, "import", "{}")
                assert await queue.finish(ended, published=True, notices=[notice])

        await asyncio.gather(*map(apply, tenants))
        assert await queue.heads() == []
        assert [len(await queue.applied(each, 9)) for each in tenants] == [2] * 12
        topics = {row[0] for row in await store.database.read("SELECT topic FROM outbox")}
        assert len(topics) == 24, "each has the number of its own change"
        assert await queue.newest_move() == max(int(topic.removeprefix("import #")) for topic in topics)


async def test_a_setting_does_not_pass_to_another_transaction(through: str) -> None:
    async with pooled(through, most=8) as database:
        await database.change("CREATE TABLE notes (id integer)")

        async def write(number: int) -> str:
            async with database.transaction(ON_NO_DISK if number % 2 else None) as steps:
                await steps.change_each("INSERT INTO notes VALUES (%s)", [(each,) for each in range(10)])
                return str((await steps.rows("SHOW synchronous_commit"))[0][0])

        assert await asyncio.gather(*(write(number) for number in range(20))) == ["on", "off"] * 10
        assert (await database.read("SELECT count(*) FROM notes"))[0][0] == 200


async def test_a_transaction_of_a_lost_client_is_rolled_back(through: str) -> None:
    async with alone(through) as database, alone(through) as other:
        await database.change("CREATE TABLE notes (id integer)")

        async def write() -> None:
            async with database.transaction() as steps:
                await steps.change("INSERT INTO notes VALUES (1)")
                await steps.connection.close()

        with pytest.raises(DatabaseAway) as error:
            await write()
        assert "closed" in error.value.why
        assert await other.read("SELECT * FROM notes") == []
