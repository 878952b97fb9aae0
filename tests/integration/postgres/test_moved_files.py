"""Files that a target cannot store as they are end a move before it begins; such texts are told."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from engine.postgres.files import objects
from engine.sqlite.store import store_file
from ground.moments import utc_now
from importer.errors import DatabaseUnusable, ImporterError, TryAgain
from importer.model import Written
from server.files.local.records import put_record
from server.moving.checking import Report, compare
from server.moving.database import DatabaseSide, in_database
from server.moving.folder import FolderSide
from server.moving.moving import move
from server.moving.side import Side
from server.tenants.local.home import open_folder
from server.tenants.moves import SOURCE, TARGET
from server.tenants.settings import TenantRefused
from tests.support.bucket import objects_of
from tests.support.clients import EXT4, POSTGRES, TMPFS, needs
from tests.support.disks import bare_disk, ext4_disk
from tests.support.keypairs import public_line
from tests.support.postgres import connected, url_of_new
from tests.support.writing import by_hand

pytestmark = [needs(POSTGRES), pytest.mark.only_on("sqlite", "it uses both engines")]

LONG = 9 << 20
WHEN = 1_234_567_890_123_456_789
RECORD = Written(1, 4, 4, False)


@asynccontextmanager
async def folder_at(place: Path) -> AsyncIterator[FolderSide]:
    async with open_folder(place) as home:
        side = FolderSide(home)
        try:
            yield side
        finally:
            side.close()


@asynccontextmanager
async def database_at(tmp_path: Path, *, in_s3: bool = False) -> AsyncIterator[DatabaseSide]:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))
    secret.chmod(0o600)
    async with in_database(url_of_new(tmp_path), secret, "--to", objects_of(tmp_path) if in_s3 else None) as side:
        yield side


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A data folder with acme, which has the file `a/b`."""
    place = tmp_path / "source"
    async with open_folder(place) as home:
        await home.add("acme", [public_line()])
        inside = home.folder("acme").files / "a"
    inside.mkdir()
    with (inside / "b").open("wb") as file:
        file.write(b"data")
        file.flush()
        put_record(file.fileno(), RECORD)
        os.utime(file.fileno(), ns=(WHEN, WHEN))
    os.utime(inside, ns=(WHEN, WHEN))
    return place


async def moved(source: Side, target: Side) -> Report:
    return await move(source, target, utc_now(), lambda *_: None)


async def refusal(source: Side, target: Side, kind: type[ImporterError | TenantRefused] = TenantRefused) -> str:
    """Return why a move is refused that leaves no mark."""
    with pytest.raises(kind) as caught:
        await moved(source, target)
    for side in (source, target):
        assert [await side.marks.has(name) for name in (SOURCE, TARGET)] == [False, False]
    return str(caught.value)


async def test_a_file_that_is_too_long_for_s3_is_named_before_a_move_begins(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = source / "tenants" / "acme" / "files" / "a" / "long.bin"
    with long.open("wb") as file:
        file.truncate(LONG)
    async with folder_at(source) as here, database_at(tmp_path, in_s3=True) as there:
        with monkeypatch.context() as patch:
            patch.setattr(objects, "MOST_BLOCKS", 1)
            text = await refusal(here, there)
        assert "at most 8,388,608 bytes a file, and files of acme have more: a/long.bin. Have them deleted" in text
        long.unlink()
        assert (await moved(here, there)).differences == []


async def test_a_strange_name_beside_uploads_is_found_before_a_move_begins(tmp_path: Path, source: Path) -> None:
    """Names that clients see may be any bytes; those of copies are texts in the database."""
    folder = source / "tenants" / "acme"
    for place in ("files", "uploads"):
        (folder / place / os.fsdecode(b"\xff.csv")).write_bytes(b"")
    async with folder_at(source) as here, database_at(tmp_path) as there:
        text = await refusal(here, there)
        assert r"has files whose names are not UTF-8: uploads/\xff.csv. Headcount" in text
        (folder / "uploads" / os.fsdecode(b"\xff.csv")).unlink()
        assert (await moved(here, there)).differences == []


async def test_a_file_that_cannot_be_stored_is_named_with_its_tenant(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source / "tenants" / "acme" / "files" / "a" / "long.bin").write_bytes(bytes(LONG))
    async with folder_at(source) as here, database_at(tmp_path, in_s3=True) as there:
        monkeypatch.setattr(objects, "MOST_BLOCKS", 1)
        monkeypatch.setattr(DatabaseSide, "refuse_files", lambda *_: _nothing())
        with pytest.raises(OSError, match="at most") as caught:
            await moved(here, there)
        assert caught.value.filename == "a/long.bin of acme"


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("state", ["XX001", "XX000", "58P01"])
async def test_a_file_whose_bytes_in_the_database_are_damaged_is_named(
    tmp_path: Path, source: Path, state: str
) -> None:
    """PostgreSQL reports damage also as an internal error, or as a missing file."""
    async with folder_at(source) as here, database_at(tmp_path) as there:
        assert (await moved(here, there)).differences == []
        database = connected(url_of_new(tmp_path))
        database.execute(
            "CREATE FUNCTION sound() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE 'no such chunk' USING ERRCODE = '{state}'; END $$"
        )
        database.execute("ALTER TABLE chunks RENAME TO stored_chunks")
        database.execute("CREATE VIEW chunks AS SELECT * FROM stored_chunks WHERE sound()")
        (file,) = [each for each in await there.facts("acme") if each.path == b"a/b"]
        with pytest.raises(TryAgain, match="the visible file “a/b” of acme cannot be read"):
            await there.digest("acme", file)


@pytest.mark.parametrize(
    "disk",
    [
        pytest.param(bare_disk, marks=needs(TMPFS), id="no attributes"),
        pytest.param(partial(ext4_disk, mebibytes=64, options=("-I", "128")), marks=needs(EXT4), id="whole seconds"),
    ],
)
async def test_a_file_system_that_keeps_less_of_a_file_is_refused(
    tmp_path: Path, source: Path, disk: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        with disk(tmp_path / "disk") as place:
            async with folder_at(place / "back") as back:
                text = await refusal(there, back)
                assert f"the file system of {place / 'back'} does not keep the times" in text
                assert "a/b of acme" in text or "a, a/b" in text
        async with folder_at(tmp_path / "back") as back:
            assert (await moved(there, back)).differences == []


async def test_a_name_in_no_folder_is_found_before_a_move_begins(tmp_path: Path, source: Path) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        with connected(there.tables._database.url) as database:
            database.execute("UPDATE names SET folder_id = 999999 WHERE name = 'b'")
        async with folder_at(tmp_path / "back") as back:
            text = await refusal(there, back, DatabaseUnusable)
            with connected(there.tables._database.url) as database:
                database.execute(text.partition("the same command again: ")[2].encode())
            assert (await moved(there, back)).differences == []
        assert (tmp_path / "back" / "tenants" / "acme" / "files" / "b").read_bytes() == b"data"


async def test_a_nul_that_postgresql_does_not_store_is_told_and_is_a_difference(tmp_path: Path, source: Path) -> None:
    by_hand(
        store_file(source),
        "INSERT INTO bans VALUES ('192.0.2.1', '2099-01-01T00:00:00Z', 'a' || char(0) || 'b')",
        "INSERT INTO bans VALUES ('192.0.2.2', '2099-01-01T00:00:00Z', 'c')",
    )
    async with folder_at(source) as here, database_at(tmp_path) as there, folder_at(tmp_path / "back") as back:
        told = await moved(here, there)
        assert (told.differences, told.replaced) == ([], {"bans": 1})
        told = await moved(there, back)
        assert (told.differences, told.replaced) == ([], {})
        assert (await compare(here, back)).replaced == {"bans": 1}
        assert (await compare(back, here)).differences == ["the table bans differs (2 rows)"]
