"""Which database the objects in a bucket belong to: a copy of it is found out before it deletes anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.postgres.database import Database, alone
from engine.postgres.files.objects import ObjectContents
from engine.postgres.files.owner import Owner
from engine.postgres.store import open_store
from engine.shared.files import Contents
from engine.shared.objects import Objects
from importer.errors import DatabaseUnusable
from tests.integration.postgres.files.conftest import Put
from tests.integration.postgres.test_database import end_others
from tests.support.bucket import objects_of, storage
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import Fault, faulty_storage
from tests.support.postgres import copy_database, database_of
from tests.support.waiting import DEADLINE_S

pytestmark = [needs(POSTGRES), pytest.mark.parametrize("contents", ["s3"], indirect=True)]


async def test_a_copy_of_a_database_is_refused_until_its_owner_is_deleted(
    contents: Contents, put: Put, tmp_path: Path, url: str
) -> None:
    await put(b"1")
    objects = objects_of(tmp_path)
    key = await _key_of_owner(objects)
    async with alone(await _copied(url, tmp_path)) as copy:
        other = ObjectContents(copy, objects, unneeded_s=0)
        for act in (other.check(), other.collect(9)):
            with pytest.raises(DatabaseUnusable, match=f"belong to another database.*delete the object {key},"):
                await act
        await objects.delete([key])
        await other.check()
        assert await other.collect(9) == 1
    with pytest.raises(DatabaseUnusable, match="belong to another database"):
        await contents.check()  # type: ignore[attr-defined]


async def test_a_server_deletes_no_object_after_another_database_has_taken_over(
    contents: Contents, put: Put, tmp_path: Path, url: str
) -> None:
    await put(b"1")
    objects = objects_of(tmp_path)
    await objects.delete([await _key_of_owner(objects)])
    async with alone(await _copied(url, tmp_path)) as copy:
        await ObjectContents(copy, objects).check()
    before = await objects.list("", "", 9)
    with pytest.raises(DatabaseUnusable, match="belong to another database"):
        await contents.collect(9)
    assert await objects.list("", "", 9) == before


async def test_of_two_databases_that_start_at_once_one_is_refused(
    contents: Contents, database: Database, put: Put, tmp_path: Path, url: str
) -> None:
    """Both find no owner, and the second one puts its name long after the first."""
    asked = await _asked_at_once(put, tmp_path)
    ended = threading.Event()
    puts: list[str] = []

    def choose(method: str, path: str) -> None:
        asked(method, path)
        if method == "PUT":
            puts.append(path)
            if len(puts) == 2:
                ended.wait(DEADLINE_S)

    assert await _refused_of_two(database, url, tmp_path, choose, ended.set) == 1


@pytest.mark.parametrize(("storages", "looks"), [("plain", 2), ("simple", 2), ("strict", 3)])
async def test_a_storage_without_conditions_names_one_of_two_databases(
    contents: Contents, database: Database, put: Put, tmp_path: Path, url: str, storages: Fault, looks: int
) -> None:
    """The other one finds that at its next look, at the latest."""
    asked = await _asked_at_once(put, tmp_path, looks)

    def choose(method: str, path: str) -> Fault:
        asked(method, path)
        return storages

    assert await _refused_of_two(database, url, tmp_path, choose, lambda: None) == 1


async def _asked_at_once(put: Put, folder: Path, looks: int = 1) -> Callable[[str, str], None]:
    """Delete the owner. Return what lets two servers look for it at the same moment, so many times."""
    await put(b"1")
    await objects_of(folder).delete([await _key_of_owner(objects_of(folder))])
    both = threading.Barrier(2)
    left = iter(range(2 * looks))

    def wait(method: str, path: str) -> None:
        if method == "GET" and path.endswith("/database") and next(left, None) is not None:
            both.wait(DEADLINE_S)

    return wait


async def _refused_of_two(
    database: Database, url: str, folder: Path, choose: Callable[[str, str], Fault | None], ended: Callable[[], None]
) -> int:
    """Start on a database and its copy at the same moment; return how many of them are refused."""

    async def check(each: Database) -> bool:
        try:
            await Owner(each, objects_of(folder, between.url)).check()
        except DatabaseUnusable as error:
            return "belong to another database" in str(error)
        finally:
            ended()
        return False

    with faulty_storage(storage()) as between:
        between.choose = choose
        async with alone(await _copied(url, folder)) as copy:
            return sum(await asyncio.gather(check(database), check(copy)))


async def _key_of_owner(objects: Objects) -> str:
    (key,) = [key for key, _ in await objects.list("", "", 9) if key.endswith("/database")]
    return key


async def _copied(url: str, folder: Path) -> str:
    """Return the URL of a copy of the database of a test. Connections to it are ended."""
    copy = folder / "copy"
    copy.mkdir()
    await end_others(url)
    copy_database(folder, copy)
    return database_of(copy)


async def test_a_bucket_without_the_files_of_the_database_is_refused(
    contents: Contents, database: Database, put: Put, tmp_path: Path
) -> None:
    number = await put(b"1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = ObjectContents(database, objects_of(elsewhere))
    for act in (other.check(), other.store("acme", 0, 0), other.collect(9)):
        with pytest.raises(DatabaseUnusable, match="does not have the files of this database"):
            await act
    assert await contents.read("acme", number, 0, 1) == b"1"


async def test_a_database_with_files_in_s3_is_not_opened_without_it(
    contents: Contents, database: Database, put: Put, tmp_path: Path, url: str
) -> None:
    async with open_store(url):
        pass
    await put(b"1")
    with pytest.raises(DatabaseUnusable, match="Name it in HEADCOUNT_FILES_URL"):
        async with open_store(url):
            pass
    async with open_store(url, objects=objects_of(tmp_path)):
        pass


async def test_files_in_the_database_are_read_as_before_when_new_ones_go_to_s3(
    contents: Contents, database: Database, put: Put, fd: int, url: str, tmp_path: Path
) -> None:
    async with open_store(url) as before:
        with (tmp_path / "old").open("w+b") as file:
            file.write(b"older")
            file.flush()
            old = await before.contents().store("acme", file.fileno(), 5)
    new = await put(b"newer")
    assert [await contents.read("acme", each, 1, 9) for each in (old, new)] == [b"lder", b"ewer"]
    assert [await contents.fetch("acme", each, fd) for each in (old, new)] == [5, 5]
    assert await contents.collect(9) == 2


async def test_a_user_without_special_rights_owns_objects(
    contents: Contents, database: Database, put: Put, tmp_path: Path, url: str
) -> None:
    """Each user may call `pg_control_system`."""
    await database.change("CREATE ROLE plain_s3 LOGIN")
    try:
        await database.change("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain_s3")
        async with alone(url.replace("headcount@", "plain_s3@", 1)) as plain:
            await ObjectContents(plain, objects_of(tmp_path)).check()
    finally:
        await database.change("DROP OWNED BY plain_s3")
        await database.change("DROP ROLE plain_s3")
