"""Contents in PostgreSQL or S3: complete, unchanged, of one tenant, and deleted when nothing needs them."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.files.contents import AT_ONCE, PostgresContents
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.names import PostgresAllNames
from engine.shared.files import CHUNK, ContentGone, Contents
from engine.shared.objects import BLOCK
from importer.errors import DatabaseFault, Refused
from tests.integration.postgres.files.conftest import BOTH, Put, contents_of
from tests.support.clients import POSTGRES, needs
from tests.support.postgres import waiting
from tests.support.waiting import eventually

pytestmark = [needs(POSTGRES), BOTH]

AN_HOUR_LATER = "UPDATE contents SET unneeded_at = unneeded_at - interval '1 hour'"
LENGTHS = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, AT_ONCE * CHUNK, AT_ONCE * CHUNK + 7, BLOCK + 1)


def some(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_content_is_read_as_it_was_stored(contents: Contents, put: Put, fd: int, length: int) -> None:
    data = some(length)
    number = await put(data)
    assert await contents.read("acme", number, 0, length + 1) == data
    for offset in {0, 1, CHUNK - 1, CHUNK, length - 1, length, length + CHUNK}:
        for size in (0, 1, CHUNK, CHUNK + 1):
            if offset >= 0:
                assert await contents.read("acme", number, offset, size) == data[offset : offset + size]
    os.ftruncate(fd, 0)
    assert await contents.fetch("acme", number, fd) == length
    assert os.pread(fd, length + 1, 0) == data


async def test_a_file_that_becomes_shorter_is_not_stored(contents: Contents, fd: int) -> None:
    os.pwrite(fd, b"short", 0)
    with pytest.raises(OSError, match="shorter"):
        await contents.store("acme", fd, AT_ONCE * CHUNK + 1)


async def test_nothing_refers_to_a_content_without_all_its_chunks(
    contents: Contents, database: Database, kept: PostgresKeptFiles
) -> None:
    await database.change(
        "INSERT INTO contents (tenant_id, id, size) SELECT id, 7, 1 FROM tenants WHERE name = 'acme'"
    )
    with pytest.raises(ContentGone):
        await contents.read("acme", 7, 0, 1)
    with pytest.raises(ContentGone):
        await kept.keep("acme", [("uploads/1.csv", 7)])
    with pytest.raises(DatabaseFault, match="not sealed"):
        await database.change(
            "INSERT INTO kept_files (tenant_id, name, content_id, size) SELECT id, 'a', 7, 1 FROM tenants"
            " WHERE name = 'acme'"
        )


async def test_a_content_belongs_to_one_tenant(
    contents: Contents, kept: PostgresKeptFiles, put: Put, fd: int
) -> None:
    number = await put(b"secret")
    with pytest.raises(ContentGone):
        await contents.read("globex", number, 0, 6)
    with pytest.raises(ContentGone):
        await contents.fetch("globex", number, fd)
    with pytest.raises(ContentGone):
        await kept.keep("globex", [("uploads/1.csv", number)])
    assert not await contents.keep_for_reader("globex", number)
    await kept.keep("acme", [("uploads/1.csv", number)])
    await kept.drop("globex", ["uploads/1.csv"])
    assert await kept.find("globex", ["uploads/1.csv"]) == await kept.list("globex", "uploads/") == []
    assert await contents.collect(9) == 0
    assert await contents.read("acme", number, 0, 6) == b"secret"


async def test_a_content_of_an_unknown_tenant_is_refused(
    contents: Contents, kept: PostgresKeptFiles, put: Put
) -> None:
    with pytest.raises(Refused, match="initech"):
        await put(b"", "initech")
    with pytest.raises(Refused, match="initech"):
        await kept.keep("initech", [])
    await kept.drop("initech", ["a"])


async def test_kept_files_are_listed_by_the_beginning_of_their_names(
    contents: Contents, kept: PostgresKeptFiles, put: Put
) -> None:
    one, two = await put(b"1"), await put(b"22")
    await kept.keep("acme", [("messages/1.csv", one), ("uploads/1.csv", one), ("uploads/2.csv", one)])
    await kept.keep("acme", [("uploads/2.csv", two)])
    found = await kept.list("acme", "uploads/")
    assert [(each.name, each.content, each.size) for each in found] == [
        ("uploads/1.csv", one, 1),
        ("uploads/2.csv", two, 2),
    ]
    assert await kept.find("acme", ["uploads/3.csv", "uploads/2.csv"]) == found[1:]
    await kept.drop("acme", ["uploads/1.csv", "uploads/9.csv"])
    assert [each.name for each in await kept.list("acme", "uploads/")] == ["uploads/2.csv"]


async def test_a_content_is_deleted_when_nothing_refers_to_it(
    contents: Contents, kept: PostgresKeptFiles, put: Put
) -> None:
    number, replacing = await put(some(3 * CHUNK)), await put(b"new")
    await kept.keep("acme", [("a", number), ("b", number), ("c", replacing)])
    await kept.drop("acme", ["a"])
    assert await contents.collect(9) == 0
    await kept.keep("acme", [("b", replacing)])
    assert await contents.collect(9) == 1
    with pytest.raises(ContentGone):
        await contents.read("acme", number, 0, 1)


@pytest.mark.parametrize("length", [1, CHUNK + 1])
async def test_no_content_gets_the_id_of_one_that_a_crash_took(
    contents: Contents, database: Database, put: Put, length: int
) -> None:
    """A crash sets the sequence of a table back to a number that was on disk."""
    await database.change("SELECT setval(pg_get_serial_sequence('contents', 'id'), 1, false)")
    before = await put(some(length))
    await database.change("DELETE FROM contents")
    await database.change("SELECT setval(pg_get_serial_sequence('contents', 'id'), 1, false)")
    assert await put(some(length)) != before


@pytest.mark.parametrize("how", ["named", "kept"])
async def test_a_content_that_is_being_deleted_gets_no_name(
    contents: Contents, kept: PostgresKeptFiles, database: Database, put: Put, how: str
) -> None:
    number = await put(b"late")
    names = await PostgresAllNames(database).open("acme")

    async def refer() -> None:
        if how == "kept":
            await kept.keep("acme", [("a", number)])
            return
        async with names.together():
            await names.hold()
            await names.put(await names.look([b"a"]), b"a", number, 4, (0, 0), None)

    async with database.transaction() as steps:
        await steps.change("DELETE FROM contents WHERE id = %s", number)
        referring = asyncio.create_task(refer())
        await eventually(lambda: waiting(database, 1))
    with pytest.raises(ContentGone):
        await referring


async def test_an_upload_that_nothing_refers_to_is_deleted(contents: Contents, put: Put) -> None:
    await put(b"abandoned")
    assert await contents.collect(0) == 0
    assert await contents.collect(9) == 1
    assert await contents.collect(9) == 0


async def test_a_content_that_is_read_is_not_deleted(
    contents: Contents, database: Database, put: Put, tmp_path: Path
) -> None:
    number = await put(b"read")
    where = "chunks" if isinstance(contents, PostgresContents) else "s3"
    patient = contents_of(database, tmp_path, where, unneeded_s=3600)
    for _ in range(4):
        await database.change(AN_HOUR_LATER)
        assert await patient.keep_for_reader("acme", number)
        assert await patient.collect(9) == 0
    await database.change(AN_HOUR_LATER)
    assert await patient.collect(9) == 1
    assert not await patient.keep_for_reader("acme", number)


async def test_a_removed_tenant_takes_its_contents_along(
    contents: Contents, kept: PostgresKeptFiles, database: Database, put: Put
) -> None:
    mine, other = await put(b"mine"), await put(b"other", "globex")
    await kept.keep("acme", [("a", mine)])
    await database.change("DELETE FROM tenants WHERE name = 'acme'")
    with pytest.raises(ContentGone):
        await contents.read("acme", mine, 0, 4)
    assert [row[0] for row in await database.read("SELECT id FROM contents")] == [other]
    assert await contents.read("globex", other, 0, 5) == b"other"
