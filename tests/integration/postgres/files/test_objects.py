"""Contents in S3 whose requests fail, are slow, cut or wrong: the client tries again, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from engine.postgres.database import Database
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.objects import ObjectContents
from engine.s3 import objects as s3
from engine.shared.files import CHUNK, ContentGone
from engine.shared.objects import BLOCK, MOST_BLOCKS
from importer.errors import FilesAway, TryAgain
from tests.integration.postgres.files.test_contents import some
from tests.support.bucket import KEY_ID, SECRET, objects_of, storage
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import Fault, FaultyStorage, faulty_storage
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

LONG = BLOCK + CHUNK + 1
PASSING: tuple[Fault, ...] = ("busy", "unread", "unanswered")
"""Faults of a request that is sent again."""
LASTING: tuple[Fault, ...] = ("refused", "busy", "silent", "unread", "unanswered", "short")

Put = Callable[..., Awaitable[int]]


@pytest.fixture
def between() -> Iterator[FaultyStorage]:
    with faulty_storage(storage()) as proxy:
        yield proxy


@pytest.fixture
async def contents(database: Database, tmp_path: Path, between: FaultyStorage) -> ObjectContents:
    """Return contents behind the proxy."""
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now'), ('globex', 'now')")
    found = ObjectContents(database, objects_of(tmp_path, between.url), unneeded_s=0)
    await found.check()
    return found


@pytest.fixture
def hurried(
    contents: ObjectContents,
    database: Database,
    tmp_path: Path,
    between: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> ObjectContents:
    """Return the same contents. Their requests wait for an answer for a second only."""
    with monkeypatch.context() as patch:
        for name, seconds in (("ANSWER_S", 1.0), ("WITHIN_S", 3.0)):
            patch.setattr(s3, name, seconds)
        return ObjectContents(database, objects_of(tmp_path, between.url), owner=contents._owner)


def needed_by(database: Database) -> PostgresKeptFiles:
    return PostgresKeptFiles(database)


async def objects_in(folder: Path) -> list[str]:
    """Return the keys of all objects of contents in the bucket, past the proxy."""
    listed = await objects_of(folder).list("", "", 1000)
    return [key for key, _ in listed if not key.endswith(("/database", "/pulse"))]


async def key_of(database: Database, content: int) -> str:
    return str((await database.read("SELECT object FROM contents WHERE id = %s", content))[0][0])


async def test_the_key_of_an_object_has_the_tenant_and_cannot_be_guessed(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path
) -> None:
    one, two, other = await put(b"same"), await put(b"same"), await put(b"same", "globex")
    keys = [await key_of(database, each) for each in (one, two, other)]
    assert len({*keys}) == 3
    ids = dict(row for row in [tuple(row) for row in await database.read("SELECT name, id FROM tenants")])
    tenants = [ids["acme"], ids["acme"], ids["globex"]]
    for key, tenant in zip(keys, tenants, strict=True):
        assert re.fullmatch(rf"[0-9a-f]{{16}}/{tenant}/[0-9a-f]{{32}}", key), key
    assert sorted(keys) == await objects_in(tmp_path)


@pytest.mark.parametrize("length", [5, LONG])
@pytest.mark.parametrize("fault", PASSING)
async def test_a_request_that_fails_once_is_sent_again(
    contents: ObjectContents, between: FaultyStorage, put: Put, fault: Fault, length: int
) -> None:
    between.next(fault, "PUT")
    number = await put(some(length))
    between.next(fault, "GET")
    assert await contents.read("acme", number, 0, length) == some(length)


@pytest.mark.parametrize("length", [5, LONG])
@pytest.mark.parametrize("fault", LASTING)
async def test_a_storage_that_fails_is_away_and_nothing_refers_to_the_file(
    contents: ObjectContents,
    hurried: ObjectContents,
    between: FaultyStorage,
    database: Database,
    put: Put,
    fd: int,
    tmp_path: Path,
    fault: Fault,
    length: int,
) -> None:
    os.pwrite(fd, some(length), 0)
    between.always(fault)
    begun = time.monotonic()
    with pytest.raises(FilesAway) as away:
        await hurried.store("acme", fd, length)
    assert time.monotonic() - begun < 20
    assert str(away.value) == "the storage of files cannot be used"
    assert "cannot be used: " in away.value.in_full
    for secret in (KEY_ID, SECRET, "Signature"):
        assert secret not in away.value.in_full
    assert away.value.__cause__ is None
    assert away.value.__suppress_context__ or away.value.__context__ is None
    ((number, sealed),) = await database.read("SELECT id, sealed FROM contents")
    assert not sealed
    with pytest.raises(ContentGone):
        await needed_by(database).keep("acme", [("uploads/1.csv", number)])
    between.heal()
    assert await contents.collect(9) == 1
    assert await objects_in(tmp_path) == []
    assert await contents.read("acme", await put(b"later"), 0, 5) == b"later"


@pytest.mark.parametrize("fault", ["cut", "damaged", "unanswered"])
@pytest.mark.parametrize("length", [CHUNK, LONG])
async def test_a_read_never_gives_other_bytes_than_were_stored(
    contents: ObjectContents, between: FaultyStorage, put: Put, fd: int, fault: Fault, length: int
) -> None:
    number = await put(some(length))
    between.next(fault, "GET")
    assert await contents.read("acme", number, 3, length) == some(length)[3:]
    between.always(fault, "GET")
    with pytest.raises(TryAgain) as failed:
        await contents.read("acme", number, CHUNK - 9, 9)
    os.ftruncate(fd, 0)
    with pytest.raises(TryAgain):
        await contents.fetch("acme", number, fd)
    assert os.fstat(fd).st_size == 0
    assert ("its SHA-256 differs" in failed.value.in_full) == (fault == "damaged")
    between.heal()
    assert await contents.fetch("acme", number, fd) == length
    assert os.pread(fd, length, 0) == some(length)


async def test_a_lost_object_is_reported_and_the_client_is_told_to_try_again(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path
) -> None:
    number = await put(b"lost")
    key = await key_of(database, number)
    await objects_of(tmp_path).delete([key])
    with pytest.raises(TryAgain, match="a stored file cannot be read") as lost:
        await contents.read("acme", number, 0, 4)
    assert lost.value.why == f"the object {key} in {objects_of(tmp_path).name} is missing"


async def test_a_bucket_that_is_gone_is_an_absent_storage_and_no_lost_file(
    contents: ObjectContents, between: FaultyStorage, put: Put
) -> None:
    number = await put(b"there")
    between.choose = lambda method, path: "refused"
    with pytest.raises(FilesAway, match="the storage of files cannot be used") as away:
        await contents.read("acme", number, 0, 5)
    assert away.value.why == "it answers 403 AccessDenied"


async def test_the_row_of_a_file_is_committed_before_its_object_is_put(
    contents: ObjectContents, between: FaultyStorage, database: Database, put: Put, url: str
) -> None:
    """Also in a block of `together`, whose own rows are not visible to others yet."""
    seen: list[tuple[str, bool]] = []

    def look(method: str, path: str) -> Fault | None:
        if method == "PUT":
            with psycopg.connect(url) as other:
                seen.extend(other.execute("SELECT object, sealed FROM contents").fetchall())
        return None

    between.choose = look
    async with database.together():
        number = await put(b"1")
        assert await contents.read("acme", number, 0, 1) == b"1"
    assert seen == [(await key_of(database, number), False)]


async def test_an_upload_that_took_too_long_is_not_stored_and_its_object_is_deleted(
    contents: ObjectContents, between: FaultyStorage, database: Database, put: Put, tmp_path: Path
) -> None:
    """The row was collected before the object arrived. So no content has the object, and none ever will."""
    asked, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(method: str, path: str) -> Fault | None:
        if method == "PUT":
            loop.call_soon_threadsafe(asked.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return None

    between.choose = wait
    storing = asyncio.create_task(put(b"late"))
    await asked.wait()
    other = ObjectContents(database, objects_of(tmp_path), unneeded_s=0, stray_s=0)
    assert await other.collect(9) == 1
    go_on.set()
    with pytest.raises(ContentGone):
        await storing
    assert len(await objects_in(tmp_path)) == 1
    await other.collect(9)  # finds it
    await other.collect(9)  # deletes it
    assert await objects_in(tmp_path) == []


async def test_a_long_upload_is_not_collected_while_its_blocks_are_put(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.files.objects.KEPT_EVERY_S", 0.0)
    await database.change("CREATE TABLE kept (at timestamptz)")
    await database.change(
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO kept VALUES (NEW.unneeded_at); RETURN NULL; END $$"
    )
    await database.change(
        "CREATE TRIGGER seen AFTER UPDATE ON contents FOR EACH ROW WHEN (NOT NEW.sealed) EXECUTE FUNCTION seen()"
    )
    number = await put(some(LONG))
    assert len(await database.read("SELECT at FROM kept")) == 2  # once a block
    assert await contents.read("acme", number, LONG - 1, 1) == some(LONG)[-1:]


async def test_an_object_is_deleted_only_after_its_content(
    contents: ObjectContents, between: FaultyStorage, database: Database, put: Put, tmp_path: Path
) -> None:
    number = await put(b"old")
    key = await key_of(database, number)
    between.choose = lambda method, path: "busy" if "delete" in path else None
    with pytest.raises(FilesAway):
        await contents.collect(9)
    assert await database.read("SELECT 1 FROM contents") == []
    assert await objects_in(tmp_path) == [key]
    between.heal()
    await contents.collect(9)  # it was tried lately
    assert await objects_in(tmp_path) == [key]
    await database.change("UPDATE ended_objects SET tried_at = clock_timestamp() - make_interval(mins => 11)")
    await contents.collect(9)
    assert await objects_in(tmp_path) == await database.read("SELECT * FROM ended_objects") == []


async def test_an_object_that_a_content_has_is_never_deleted(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path
) -> None:
    """Whatever the table of objects to delete says."""
    number = await put(b"needed")
    await needed_by(database).keep("acme", [("a", number)])
    key = await key_of(database, number)
    await database.change("INSERT INTO ended_objects (object) VALUES (%s)", key)
    await contents.collect(9)
    assert await objects_in(tmp_path) == [key]
    assert await database.read("SELECT * FROM ended_objects") == []


async def test_objects_of_a_removed_tenant_are_deleted(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path
) -> None:
    mine, other = await put(b"mine"), await put(b"other", "globex")
    for tenant, number in (("acme", mine), ("globex", other)):
        await needed_by(database).keep(tenant, [("a", number)])
    await database.change("DELETE FROM tenants WHERE name = 'acme'")
    await contents.collect(9)
    assert await objects_in(tmp_path) == [await key_of(database, other)]


async def test_a_stray_object_is_deleted_after_its_time_and_no_other_one(
    contents: ObjectContents, database: Database, put: Put, tmp_path: Path
) -> None:
    number = await put(b"needed")
    await needed_by(database).keep("acme", [("a", number)])
    needed, bucket = await key_of(database, number), objects_of(tmp_path)
    place = needed.partition("/")[0]
    stray = f"{place}/1/{'0' * 32}"
    others = [f"{place}/notes.txt", f"0123456789abcdef/1/{'0' * 32}", "zzz"]
    for key in (stray, *others):
        await bucket.put(key, b"x")
    for _ in range(3):
        await contents.collect(9)
    assert await objects_in(tmp_path) == sorted([needed, stray, *others])
    await database.change("UPDATE ended_objects SET due_at = clock_timestamp() - make_interval(secs => 1)")
    await contents.collect(9)
    assert await objects_in(tmp_path) == sorted([needed, *others])


async def test_a_list_that_lags_deletes_nothing_that_is_needed(
    contents: ObjectContents, between: FaultyStorage, database: Database, put: Put, tmp_path: Path
) -> None:
    old = await put(b"old")
    hasty = ObjectContents(database, objects_of(tmp_path, between.url), unneeded_s=3600, stray_s=0)
    await hasty.collect(9)  # the first answer has `old` only
    new = await put(b"new")
    for name, number in (("a", old), ("b", new)):
        await needed_by(database).keep("acme", [(name, number)])
    await needed_by(database).drop("acme", ["a"])
    await contents.collect(9)
    assert await objects_in(tmp_path) == [await key_of(database, new)]
    between.choose = lambda method, path: "old" if "list-type" in path else None
    for _ in range(3):
        await hasty.collect(9)
    assert await objects_in(tmp_path) == [await key_of(database, new)]
    assert await database.read("SELECT 1 FROM ended_objects WHERE object = %s", await key_of(database, new)) == []


async def test_a_file_that_is_too_long_for_s3_is_refused_before_it_is_read(
    contents: ObjectContents, between: FaultyStorage, fd: int
) -> None:
    with pytest.raises(OSError, match="the storage of files takes at most 83,886,080,000 bytes a file"):
        await contents.store("acme", fd, MOST_BLOCKS * BLOCK + 1)
    assert "PUT" not in {method for method, path in between.asked if not path.endswith("/database")}


async def test_a_canceled_upload_stores_nothing(
    contents: ObjectContents, between: FaultyStorage, database: Database, put: Put
) -> None:
    between.always("silent", "PUT")
    storing = asyncio.create_task(put(some(LONG)))
    await eventually(lambda: any(method == "PUT" for method, _ in between.asked))
    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing
    assert await database.read("SELECT 1 FROM contents WHERE sealed") == []
