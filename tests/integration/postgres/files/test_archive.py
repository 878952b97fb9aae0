"""The archive in PostgreSQL: its cache, and tenants and contents that change meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.files.archive import PostgresArchive
from engine.postgres.files.cache import FRESH_S, Cache
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.names import PostgresAllNames
from engine.postgres.files.results import PostgresResults
from engine.postgres.server.node import joined
from engine.shared.files import CHUNK
from importer.errors import Refused, TryAgain
from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder
from tests.support.clients import POSTGRES, needs
from tests.support.waiting import DEADLINE_S

pytestmark = needs(POSTGRES)

LONG = "x" * (CHUNK + 1)
ADD = "INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')"


class Counting(PostgresContents):
    """Contents that count their downloads, and do something before each."""

    fetched = 0

    async def fetch(self, tenant: str, content: int, fd: int) -> int:
        self.fetched += 1
        await self.before()
        return await super().fetch(tenant, content, fd)

    async def read(self, tenant: str, content: int, offset: int, size: int) -> bytes:
        self.fetched += 1
        await self.before()
        return await super().read(tenant, content, offset, size)

    async def before(self) -> None:
        pass


@pytest.fixture
async def contents(database: Database) -> Counting:
    await database.change(ADD)
    return Counting(database, unneeded_s=0)


@pytest.fixture
async def archive(database: Database, contents: Counting, tmp_path: Path) -> PostgresArchive:
    return PostgresArchive(database, contents, tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> TenantFolder:
    return TenantFolder(tmp_path / "tenants" / "acme")


async def put(archive: PostgresArchive, folder: TenantFolder, file: Path, content: str) -> None:
    async with archive.making(folder) as made:
        path = made.root / file.relative_to(folder.root)
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        await archive.keep(made, path)


async def test_a_kept_file_is_downloaded_once_a_process(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.said(7), "kept")
    await archive.fetch(folder, folder.said(7))
    assert contents.fetched == 0
    (tmp_path / "other").mkdir()
    other, there = PostgresArchive(archive._database, contents, tmp_path / "other"), TenantFolder(tmp_path / "o/acme")
    for _ in range(3):
        await other.fetch(there, there.said(7), there.said(8))
    assert contents.fetched == 1
    assert there.said(7).read_text() == "kept"
    assert not list((tmp_path / "other").iterdir())


async def test_only_the_beginning_of_a_long_file_is_brought_if_no_more_is_asked_for(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.copy(7), LONG)
    (tmp_path / "other").mkdir()
    other, there = PostgresArchive(archive._database, contents, tmp_path / "other"), TenantFolder(tmp_path / "o/acme")
    async with other.beginning(there, there.copy(7), 10) as file:
        assert file.read_text() == LONG[:10]
    assert not there.copy(7).exists()
    assert not list((tmp_path / "other").iterdir())
    await other.fetch(there, there.copy(7))
    async with other.beginning(there, there.copy(7), 10) as file:
        assert file == there.copy(7)


async def test_a_file_has_the_same_time_in_each_process(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.copy(7), "kept")
    found = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        other = PostgresArchive(archive._database, contents, tmp_path / name)
        there = TenantFolder(tmp_path / name / "acme")
        await other.fetch(there, there.copy(7))
        found.add(there.copy(7).stat().st_mtime_ns)
    assert len(found) == 1


async def test_files_that_are_not_in_use_leave_the_scratch_folder(
    database: Database, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    now = [1000.0]
    archive = PostgresArchive(database, contents, tmp_path, Cache(most_bytes=10, clock=lambda: now[0]))
    for number in (1, 2):
        await put(archive, folder, folder.copy(number), "12345678")
    assert folder.copy(1).exists()
    now[0] += FRESH_S + 1
    async with archive.held(folder, folder.copy(2)):
        assert not folder.copy(1).exists()
        now[0] += FRESH_S + 1
        await archive.fetch(folder, folder.copy(1))
        assert folder.copy(1).read_text() == folder.copy(2).read_text() == "12345678"


async def test_files_made_for_a_removed_tenant_are_not_those_of_a_new_one(
    archive: PostgresArchive, database: Database, folder: TenantFolder
) -> None:
    async with archive.making(folder) as made:
        made.said(7).write_text("of the tenant before")
        await database.change("DELETE FROM tenants")
        with pytest.raises(Refused, match="no longer exists"):
            await archive.keep(made, made.said(7))
        await database.change(ADD)
        with pytest.raises(Refused, match="no longer exists"):
            await archive.keep(made, made.said(7))
    assert await archive.names(folder, folder.messages) == []


async def test_a_tenant_added_again_gets_no_file_from_the_cache(
    archive: PostgresArchive, database: Database, folder: TenantFolder
) -> None:
    await put(archive, folder, folder.copy(7), "of the tenant before")
    await database.change("DELETE FROM tenants")
    await database.change(ADD)
    await archive.fetch(folder, folder.copy(7))
    assert not folder.copy(7).exists()


async def test_a_file_that_is_replaced_during_its_download_is_fetched_anew(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.said(7), "first")

    class Replacing(Counting):
        async def before(self) -> None:
            if self.fetched == 1:
                await put(archive, folder, folder.said(7), "second")
                assert await self.collect(9) == 1

    (tmp_path / "other").mkdir()
    replacing = Replacing(archive._database, unneeded_s=0)
    other, there = (
        PostgresArchive(archive._database, replacing, tmp_path / "other"),
        TenantFolder(tmp_path / "o/acme"),
    )
    await other.fetch(there, there.said(7))
    assert there.said(7).read_text() == "second"
    assert not list((tmp_path / "other").iterdir())


async def test_a_file_that_a_reader_fetches_meanwhile_is_the_one_before(
    archive: PostgresArchive, folder: TenantFolder
) -> None:
    await put(archive, folder, folder.said(7), "first")
    async with archive.making(folder) as made:
        made.said(7).write_text("second")
        await archive.fetch(folder, folder.said(7))
        assert folder.said(7).read_text() == "first"
        await archive.keep(made, made.said(7))
        assert folder.said(7).read_text() == "second"
    await archive.fetch(folder, folder.said(7))
    assert folder.said(7).read_text() == "second"


async def test_a_full_scratch_folder_fails_no_import(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.said(7), "kept")

    class Full(Counting):
        async def before(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "other").mkdir()
    other, there = (
        PostgresArchive(archive._database, Full(archive._database), tmp_path / "other"),
        tmp_path / "o/acme",
    )
    with pytest.raises(TryAgain, match="the disk is full"):
        await other.fetch(TenantFolder(there), TenantFolder(there).said(7))
    assert not list((tmp_path / "other").iterdir())


async def test_a_canceled_fetch_leaves_no_file(
    archive: PostgresArchive, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await put(archive, folder, folder.said(7), LONG)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Counting):
        async def before(self) -> None:
            begun.set()
            await go_on.wait()

    (tmp_path / "other").mkdir()
    other, there = (
        PostgresArchive(archive._database, Slow(archive._database), tmp_path / "other"),
        tmp_path / "o/acme",
    )
    path = TenantFolder(there).said(7)
    fetching = asyncio.create_task(other.fetch(TenantFolder(there), path))
    await begun.wait()
    fetching.cancel()
    await asyncio.sleep(0)
    assert not fetching.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not list((tmp_path / "other").iterdir())
    await other.fetch(TenantFolder(there), path)
    assert path.read_text() == LONG


async def test_a_file_is_fetched_in_the_transaction_that_keeps_it(
    archive: PostgresArchive, contents: Counting, database: Database, folder: TenantFolder, tmp_path: Path
) -> None:
    path, file = folder.uploads / "new.sha256", tmp_path / "uploaded"
    file.write_text("ab")
    fd = os.open(file, os.O_RDONLY)
    async with database.together():
        number = await contents.store("acme", fd, 2)
        await PostgresKeptFiles(database).keep("acme", [("uploads/new.sha256", number)])
        await archive.fetch(folder, path)
        assert path.read_text() == "ab"
        await archive.drop(folder, path)
    os.close(fd)
    assert not path.exists()


async def test_files_are_kept_all_or_none(
    archive: PostgresArchive, database: Database, folder: TenantFolder, tmp_path: Path
) -> None:
    class Losing(Counting):
        async def store(self, tenant: str, fd: int, size: int) -> int:
            return await super().store(tenant, fd, size) if size else 999  # an empty file has no content then

    await put(archive, folder, folder.said(7), "first")
    losing = PostgresArchive(database, Losing(database), tmp_path)
    async with losing.making(folder) as made:
        made.said(7).write_text("second")
        made.errors(7).write_text("")
        with pytest.raises(TryAgain):
            await losing.keep(made, *made.messages_of(7))
    await archive.fetch(folder, *folder.messages_of(7))
    assert await archive.names(folder, folder.messages) == ["7.jsonl"]
    assert folder.said(7).read_text() == "first"


async def test_results_are_changed_as_a_whole(database: Database, folder: TenantFolder, contents: Counting) -> None:
    names = PostgresAllNames(database)
    results = PostgresResults(names, contents, PostgresKeptFiles(database))

    def work(opened: ResultsFolder) -> None:
        opened.write("one", b"1")

    def more(opened: ResultsFolder) -> None:
        opened.remove("one")
        opened.write("two", b"2")
        opened.write("three", b"3")

    class Losing(Counting):
        stored = 0

        async def store(self, tenant: str, fd: int, size: int) -> int:
            self.stored += 1
            return await super().store(tenant, fd, size) if self.stored == 1 else 999

    await results.change(folder, work)
    losing = PostgresResults(names, Losing(database), PostgresKeptFiles(database))
    with pytest.raises(OSError, match="Stale"):
        await losing.change(folder, more)
    found: list[str] = []
    await results.change(folder, lambda opened: found.extend(opened.names()))
    assert found == ["one"]


async def test_a_lock_that_a_frozen_server_holds_ends_with_it(
    database: Database, contents: Counting, folder: TenantFolder, tmp_path: Path
) -> None:
    await database.change("INSERT INTO nodes (number, host, pid) VALUES (7, 'elsewhere', 1)")
    frozen, free = (PostgresArchive(database, contents, tmp_path, node=node) for node in (7, None))
    async with joined(database.url, database) as other:
        with pytest.raises(TryAgain):  # noqa: PT012 - what the frozen one has locked
            async with frozen.locked(folder, folder.runs):
                await other.bury(0)
                async with asyncio.timeout(DEADLINE_S), free.locked(folder, folder.runs):
                    pass
