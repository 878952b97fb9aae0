"""The token that a database and its objects share: a copy of PostgreSQL's own files deletes nothing."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.postgres.database import Database, alone
from engine.postgres.files import objects_pulse, owner
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.objects import ObjectContents
from engine.postgres.files.owner import TOKENS, Owner
from engine.postgres.migrations import migrate
from engine.postgres.store import open_store
from engine.s3.objects import S3Objects
from importer.errors import DatabaseUnusable, FilesAway
from tests.integration.postgres.files.conftest import contents_of
from tests.support import ROOT
from tests.support.bucket import bucket_of, key_file, objects_of, storage
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import Fault, FaultyStorage, faulty_storage
from tests.support.own_postgres import own_postgres
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

REFUSED = "a copy or an older state of it.*delete the object [0-9a-f]{16}/database, and start again"
TURNING = """
import asyncio, sys
from pathlib import Path
from engine.postgres.database import alone
from engine.postgres.files.owner import Owner
from engine.s3.objects import S3Objects
from engine.s3.urls import parse_bucket

async def turn(url, bucket, key):
    async with alone(url) as database:
        owner = Owner(database, S3Objects(parse_bucket(bucket), Path(key)))
        await owner.check()
        while True:
            print("turned", flush=True)
            await owner.look(0)

asyncio.run(turn(*sys.argv[1:]))
"""


@pytest.fixture
def bucket(tmp_path: Path) -> S3Objects:
    return objects_of(tmp_path)


@pytest.fixture
def between() -> Iterator[FaultyStorage]:
    with faulty_storage(storage()) as proxy:
        yield proxy


@pytest.fixture
async def mine(database: Database, bucket: S3Objects) -> Owner:
    """Return a server's view, after it has changed the token once."""
    found = Owner(database, bucket)
    await found.check()
    await changed(found)
    return found


async def changed(mine: Owner) -> None:
    """Change the token."""
    await mine.look(0)  # makes the next one
    await mine.look(0)  # puts it


async def token(bucket: S3Objects, mine: Owner) -> str:
    """Return the token that the object has."""
    found = await bucket.read(await mine.key(), 0, 100)
    return (found or b"").decode().partition(" ")[2]


async def tokens(database: Database) -> list[str]:
    """Return the tokens that the database has, newest first."""
    ((text,),) = await database.read("SELECT text FROM marks WHERE name = %s", TOKENS)
    return str(text).split()


async def test_a_copy_of_postgresqls_own_files_deletes_no_object(bucket: S3Objects, tmp_path: Path) -> None:
    with own_postgres() as first:
        async with alone(first.url) as database:
            await migrate(database)
            await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
            with (tmp_path / "file").open("w+b") as file:
                needed, _ = [
                    await contents_of(database, tmp_path, "s3", 0).store("acme", file.fileno(), 0) for _ in "ab"
                ]
            await PostgresKeptFiles(database).keep("acme", [("a", needed)])
            await changed(Owner(database, bucket))
        first.stop()
        with own_postgres(first.data) as second:
            first.start()
            async with alone(first.url) as database, alone(second.url) as copy:
                mine, other = Owner(database, bucket), Owner(copy, bucket)
                await changed(mine)
                before = await bucket.list("", "", 9), await token(bucket, mine)
                contents = ObjectContents(copy, bucket, 0, 0)
                for act in (contents.check(), contents.collect(9), other.look(0), _opened(second.url, bucket)):
                    with pytest.raises(DatabaseUnusable, match=REFUSED):
                        await act
                assert (await bucket.list("", "", 9), await token(bucket, mine)) == before
                assert await ObjectContents(database, bucket, 0).collect(9) == 1
                await bucket.delete([await mine.key()])  # as its sentence says, if the copy shall replace the first
                await other.check()
                with pytest.raises(DatabaseUnusable, match=REFUSED):
                    await mine.check()


async def _opened(url: str, bucket: S3Objects) -> None:
    async with open_store(url, serving=True, objects=bucket):
        pass


async def test_a_restored_older_state_is_refused_until_the_owner_is_deleted(
    database: Database, bucket: S3Objects, mine: Owner
) -> None:
    older = await tokens(database)
    await changed(mine)
    await database.change("UPDATE marks SET text = %s WHERE name = %s", " ".join(older), TOKENS)
    restored = Owner(database, bucket)
    with pytest.raises(DatabaseUnusable, match=REFUSED):
        await restored.check()
    await bucket.delete([await mine.key()])
    await restored.check()
    assert await token(bucket, mine) not in older
    await changed(restored)
    await restored.check()


async def test_a_server_that_has_just_started_deletes_no_object(
    database: Database, bucket: S3Objects, mine: Owner, tmp_path: Path
) -> None:
    """So that the servers of another database change the token first."""
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')")
    with (tmp_path / "file").open("w+b") as file:
        await contents_of(database, tmp_path, "s3", 0).store("acme", file.fileno(), 0)
    started = Owner(database, bucket, wait_s=3600)
    before = await bucket.list("", "", 9), await token(bucket, mine)
    assert await ObjectContents(database, bucket, 0, owner=started).collect(9) == 1
    await changed(started)
    await changed(started)
    assert (await bucket.list("", "", 9), await token(bucket, mine)) == before
    await ObjectContents(database, bucket, 0, owner=mine).collect(9)
    assert len(await bucket.list("", "", 9)) < len(before[0])


async def test_a_server_changes_the_token_before_it_deletes_an_object(
    bucket: S3Objects, mine: Owner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So one of two databases is refused in time, if servers of both were started at the same time."""
    before, started = await token(bucket, mine), Owner(database, bucket, wait_s=0.05)

    async def has_changed() -> bool:
        await started.look(0)
        assert not started.may_delete
        return await _differs(bucket, mine, before)

    await eventually(has_changed)
    assert owner.SETTLED_S > 3 * owner.LOOK_S
    monkeypatch.setattr(owner, "SETTLED_S", 0.1)
    started = Owner(database, bucket, wait_s=0.1)

    async def may_delete() -> bool:
        await started.look(0)
        return started.may_delete

    await eventually(may_delete)


async def test_a_serving_store_changes_the_token_again_and_again(
    database: Database, bucket: S3Objects, mine: Owner, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "LOOK_S", 0.01)
    monkeypatch.setattr(owner, "CHANGED_S", 0.05)
    monkeypatch.setattr(objects_pulse, "WAIT_S", 0.1)
    async with open_store(url, serving=True, objects=bucket):
        for _ in range(3):
            before = await token(bucket, mine)
            await eventually(lambda before=before: _differs(bucket, mine, before))
    await mine.check()


async def _differs(bucket: S3Objects, mine: Owner, before: str) -> bool:
    return await token(bucket, mine) != before


async def test_a_token_is_in_the_database_before_it_is_in_the_bucket(
    database: Database, bucket: S3Objects, mine: Owner
) -> None:
    before = await token(bucket, mine)
    await mine.look(0)
    assert await token(bucket, mine) == before == (await tokens(database))[1]
    await mine.look(0)
    assert await token(bucket, mine) == (await tokens(database))[0]


@pytest.mark.parametrize("fault", ["busy", "refused", "unread", "unanswered"])
async def test_a_failed_change_of_the_token_takes_no_right(
    database: Database,
    mine: Owner,
    between: FaultyStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """However often it fails: the database keeps the token that the object has."""
    monkeypatch.setattr(owner, "KEPT", 2)
    for _ in range(2):
        server = Owner(database, objects_of(tmp_path, between.url))
        between.always(fault, "PUT")
        for _ in range(4):
            with suppress(FilesAway):
                await server.look(0)
        between.heal()
        await Owner(database, objects_of(tmp_path)).check()
        await changed(server)
        await mine.check()


async def test_servers_of_one_database_that_race_lose_no_right(
    database: Database, bucket: S3Objects, mine: Owner
) -> None:
    async def turn(server: Owner) -> None:
        for _ in range(10):
            await server.look(0)
            await server.check()

    before = await tokens(database)
    await asyncio.gather(*(turn(Owner(database, bucket)) for _ in range(4)))
    await mine.check()
    assert len(await tokens(database)) > len(before)
    await changed(mine)
    assert await token(bucket, mine) in (await tokens(database))[:2]


@pytest.mark.parametrize("storages", [None, "plain", "simple"])
async def test_a_server_that_was_frozen_takes_no_right_away(
    database: Database, bucket: S3Objects, mine: Owner, between: FaultyStorage, tmp_path: Path, storages: Fault | None
) -> None:
    """Also in storages that know no condition: there, the object gets an older token."""
    frozen, go = threading.Event(), threading.Event()

    def choose(method: str, path: str) -> Fault | None:
        if method == "PUT":
            frozen.set()
            go.wait()
        return storages

    slow = Owner(database, objects_of(tmp_path, between.url))
    await slow.look(0)
    between.choose = choose
    putting = asyncio.create_task(slow.look(0))
    await asyncio.to_thread(frozen.wait)
    for _ in range(3):
        await changed(mine)
    newest = await token(bucket, mine)
    go.set()
    await putting
    assert (await token(bucket, mine) == newest) is (storages is None)
    for server in (mine, slow, Owner(database, bucket)):
        await server.check()
        await changed(server)
        assert await token(bucket, mine) == (await tokens(database))[0]


async def test_a_token_that_was_read_long_ago_is_read_again(
    database: Database, bucket: S3Objects, mine: Owner, between: FaultyStorage, tmp_path: Path
) -> None:
    """The database no longer has it: the server was frozen after it had read it."""
    frozen = Owner(database, objects_of(tmp_path, between.url))
    await frozen.check()
    await changed(mine)
    await database.change("UPDATE marks SET text = %s WHERE name = %s", await token(bucket, mine), TOKENS)
    between.next("old", "GET")
    await frozen.check()


async def test_an_owner_without_a_token_gets_one(database: Database, bucket: S3Objects) -> None:
    """As an older Headcount has put it."""
    mine = Owner(database, bucket)
    await mine.check()
    whole = await bucket.read(await mine.key(), 0, 100)
    assert whole
    await bucket.put(await mine.key(), whole.partition(b" ")[0])
    await database.change("DELETE FROM marks WHERE name = %s", TOKENS)
    upgraded = Owner(database, bucket)
    await upgraded.check()
    await changed(upgraded)
    assert await token(bucket, upgraded) == (await tokens(database))[0]
    await upgraded.check()


async def test_a_kill_at_any_moment_takes_no_right(bucket: S3Objects, tmp_path: Path) -> None:
    """A server is killed, or PostgreSQL."""
    dice = random.Random(1)
    with own_postgres() as postgres:
        async with alone(postgres.url) as database:
            await migrate(database)
        for number in range(8):
            process = _turning(postgres.url, tmp_path)
            try:
                assert process.stdout
                for _ in range(dice.randint(4, 12)):  # at least one token is new
                    assert await asyncio.to_thread(process.stdout.readline) == b"turned\n"
                await asyncio.sleep(dice.uniform(0, 0.05))
                if number % 2:
                    postgres.stop()
                    postgres.start()
            finally:
                process.kill()
                process.communicate()
            async with alone(postgres.url) as database:
                await Owner(database, bucket).check()
                found = await tokens(database)
        assert len(found) > 8


def _turning(url: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that changes the token as fast as it can."""
    command = [sys.executable, "-c", TURNING, url, bucket_of(folder), str(key_file(folder))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
