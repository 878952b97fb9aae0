"""Everything works through pgbouncer in transaction mode, where each transaction may have another connection."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.postgres.database import ON_NO_DISK, alone, pooled
from engine.postgres.store import open_store
from engine.tenants import Tenant
from engine.tokens import Role
from importer.errors import TryAgain
from importer.model import ImportState
from importer.queue.notices import Channel, Notice
from tests.support.clients import POSTGRES, client, needs
from tests.support.engines import add_tenants
from tests.support.postgres import as_postgres, free_port, server
from tests.support.queues import NOON, enqueue, outcome
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES, "pgbouncer")

AT = "2026-03-01T12:00:00.000Z"
CONNECTIONS = 2


@pytest.fixture
def through(url: str, tmp_path: Path) -> Iterator[str]:
    """Start pgbouncer with two connections to the database of the test; yield the URL through it."""
    (folder, server_port), port = server(), free_port()
    home = Path(folder) / "pgbouncer"
    home.mkdir()
    (home / "users").write_text('"headcount" ""\n')
    (home / "ini").write_text(
        f"[databases]\n* = host={folder} port={server_port}\n[pgbouncer]\npool_mode = transaction\n"
        f"default_pool_size = {CONNECTIONS}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {home}/users\nlogfile = {home}/log\n"
    )
    log = home / "log"
    log.touch()
    user = as_postgres()
    for each in (home, log) if user else ():
        shutil.chown(each, "postgres")
    process = subprocess.Popen([client("pgbouncer"), "-q", str(home / "ini")], cwd=home, **user)
    try:
        wait_until(lambda: "process up" in log.read_text())
        yield f"postgresql://headcount@127.0.0.1:{port}{urlsplit(url).path}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home)


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

        with pytest.raises(TryAgain, match="closed"):
            await write()
        assert await other.read("SELECT * FROM notes") == []
