"""The archive keeps the files of imports and runs: all of them or none, and each tenant's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from importer.apart import apart
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.worker.results_folder import ResultsFolder
from tests.support.archives import House, OpenHouse


async def put(archive: Archive, folder: TenantFolder, *files: Path, content: bytes = b"kept") -> None:
    """Keep files with this content."""
    async with archive.making(folder) as made:
        paths = [made.root / file.relative_to(folder.root) for file in files]
        for path in paths:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        await archive.keep(made, *paths)


async def read(archive: Archive, folder: TenantFolder, file: Path) -> bytes | None:
    """Return what a reader finds at the path of a file."""
    await archive.fetch(folder, file)
    return file.read_bytes() if file.exists() else None


async def test_a_kept_file_is_there_for_the_next_process(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await put(house.archive, house.folder, house.folder.said(7), content=b"x" * 300_000)
        await put(house.archive, house.folder, house.folder.said(8), content=b"")
    async with open_house() as house:
        archive, folder = house.archive, house.folder
        assert await read(archive, folder, folder.said(7)) == b"x" * 300_000
        assert await read(archive, folder, folder.said(8)) == b""
        assert await read(archive, folder, folder.said(9)) is None


async def test_a_file_that_was_not_made_again_is_dropped(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, *folder.messages_of(7), content=b"first")
    async with archive.making(folder) as made:
        for path in made.messages_of(7):
            path.unlink(missing_ok=True)
        made.said(7).write_bytes(b"second")
        await archive.keep(made, *made.messages_of(7))
    assert [await read(archive, folder, path) for path in folder.messages_of(7)] == [b"second", None, None]
    assert await archive.names(folder, folder.messages) == ["7.jsonl"]


async def test_a_fetched_file_follows_each_change(open_house: OpenHouse) -> None:
    async with open_house() as here, open_house() as there:
        path = here.folder.advice(7)
        for content in (b"first", b"second"):
            await put(there.archive, there.folder, there.folder.advice(7), content=content)
            assert await read(here.archive, here.folder, path) == content
        await there.archive.drop(there.folder, there.folder.advice(7))
        assert await read(here.archive, here.folder, path) is None


async def test_the_beginning_of_a_file_can_be_read_alone(open_house: OpenHouse) -> None:
    async with open_house() as here, open_house() as there:
        folder = here.folder
        await put(there.archive, there.folder, there.folder.copy(7), content=b"x" * 300_000)
        for most in (10, 300_000, 400_000):
            async with here.archive.beginning(folder, folder.copy(7), most) as file:
                content = file.read_bytes()
            assert content[:most] == b"x" * min(most, 300_000)
            assert set(content) == {ord("x")}
        async with here.archive.beginning(folder, folder.copy(8), 10) as file:
            assert not file.exists()


async def test_a_dropped_file_is_gone_and_others_stay(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, folder.copy(7), folder.copy(8))
    await archive.drop(folder, folder.copy(7), folder.copy(9))
    assert await archive.names(folder, folder.uploads) == ["8.csv"]
    assert await read(archive, folder, folder.copy(7)) is None
    assert await read(archive, folder, folder.copy(8)) == b"kept"


async def test_files_are_listed_with_their_sizes(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, folder.copy(7), content=b"12345")
    await put(archive, folder, folder.said(7))
    await put(archive, house.others, house.others.copy(9))
    found = await archive.stored(folder, folder.uploads)
    assert {name: (each.size, each.linked) for name, each in found.items()} == {"7.csv": (5, False)}
    assert await archive.find(folder, folder.copy(7)) == found["7.csv"]
    assert await archive.find(folder, folder.copy(9)) is None
    assert await archive.lacks(folder, folder.copy(9))
    assert not await archive.lacks(folder, folder.copy(7))
    assert await archive.stored(folder, folder.runs) == {}


async def test_a_file_that_has_a_name_in_results_is_linked(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, folder.errors(7), content=b"rejected")

    def work(results: ResultsFolder) -> None:
        results.link("rows.csv", folder.errors(7))

    await archive.fetch(folder, folder.errors(7))
    await house.results.change(folder, work)
    found = await archive.find(folder, folder.errors(7))
    assert found is not None
    assert found.linked
    await archive.drop(folder, folder.errors(7))
    assert await house.in_results() == {"rows.csv": b"rejected"}


async def test_a_file_that_was_replaced_is_not_deleted_as_the_one_before(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, folder.copy(7), content=b"first")
    first = await archive.find(folder, folder.copy(7))
    await archive.drop(folder, folder.copy(7))
    await put(archive, folder, folder.copy(7), content=b"other")
    other = await archive.find(folder, folder.copy(7))
    assert first is not None
    assert other is not None
    await archive.drop_if(folder, folder.copy(7), first)
    assert await read(archive, folder, folder.copy(7)) == b"other"
    await archive.drop_if(folder, folder.copy(7), other)
    assert await read(archive, folder, folder.copy(7)) is None


async def test_a_file_is_published_when_it_is_the_visible_file(house: House) -> None:
    archive, folder = house.archive, house.folder
    copy, visible = folder.copy(7), folder.visible("/sync_users.csv")
    assert not await archive.was_published(folder, copy, visible)
    await put(archive, folder, copy)
    assert not await archive.was_published(folder, copy, visible)
    await house.publish(copy)
    assert await archive.was_published(folder, copy, visible)
    found = await archive.find(folder, copy)
    assert found is not None
    assert found.linked


async def test_an_import_keeps_and_fetches_in_its_own_event_loop(house: House) -> None:
    archive, folder = house.archive, house.folder

    async def work() -> bytes | None:
        await archive.keep(made, made.said(7))
        return await read(archive, folder, folder.said(7))

    async with archive.making(folder) as made:
        made.said(7).write_bytes(b"of an import")
        assert await apart(work, "import 7 of acme") == b"of an import"


async def test_a_held_file_stays_at_its_path(house: House) -> None:
    archive, folder = house.archive, house.folder
    await put(archive, folder, folder.copy(7))
    async with archive.held(folder, folder.copy(7), folder.copy(8)):
        assert folder.copy(7).read_bytes() == b"kept"
        assert not folder.copy(8).exists()


async def test_the_lock_of_a_folder_is_taken_by_one_at_a_time(open_house: OpenHouse) -> None:
    async with open_house() as here, open_house() as there:
        taken: list[str] = []
        for house in (here, there):
            house.folder.runs.mkdir(parents=True, exist_ok=True)

        async def take() -> None:
            async with there.archive.locked(there.folder, there.folder.runs):
                taken.append("there")

        async with here.archive.locked(here.folder, here.folder.runs):
            waiting = asyncio.create_task(take())
            async with there.archive.locked(there.others, there.others.runs):  # that of another tenant
                pass
            await asyncio.sleep(0.1)
            taken.append("here")
        await waiting
        assert taken == ["here", "there"]


async def test_a_file_that_was_not_kept_is_not_there(house: House) -> None:
    archive, folder = house.archive, house.folder

    async def make() -> None:
        async with archive.making(folder) as made:
            (made.messages / ".7.jsonl.new").write_bytes(b"half")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        await make()
    assert await archive.find(folder, folder.said(7)) is None
