"""Data folders as sides of a move: nothing of them is left out without a word."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from ground.moments import utc_now
from importer.folder import TenantFolder
from server.moving.checking import compare
from server.moving.files import Fact
from server.moving.folder import FolderSide, facts_in
from server.moving.moving import move
from server.moving.side import Side
from server.tenants.local.home import make_places, open_folder
from server.tenants.local.marks import FileMarks
from server.tenants.moves import SOURCE, TARGET, marks_in
from server.tenants.settings import TenantRefused
from tests.support.keypairs import public_line
from tests.support.moving_marks import Place


@pytest.fixture
async def sides(tmp_path: Path) -> AsyncIterator[list[FolderSide]]:
    async with AsyncExitStack() as stack:
        homes = [await stack.enter_async_context(open_folder(tmp_path / name)) for name in ("a", "b")]
        found = [FolderSide(home) for home in homes]
        for side in found:
            stack.callback(side.close)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> TenantFolder:
    made = TenantFolder(tmp_path / "acme")
    make_places(made)
    return made


async def test_a_tenant_whose_keys_are_lost_is_refused_before_a_move_begins(tmp_path: Path) -> None:
    """Its new place would look as if it had never had a key."""
    async with open_folder(tmp_path) as home:
        await home.add("acme", [public_line()])
        home.ring("acme").path.unlink()
        source, target = FolderSide(home), Place("the database b")
        with pytest.raises(TenantRefused, match=r"acme cannot be moved: .*keys\.json is missing; restore it"):
            await move(source, cast(Side, target), utc_now(), lambda *_: None)
        assert ([await source.marks.has(name) for name in (SOURCE, TARGET)], target.marks) == ([False, False], {})
        source.close()


@pytest.mark.parametrize("name", ["sending-off", "digests"])
async def test_marks_that_differ_are_a_difference(sides: list[FolderSide], name: str) -> None:
    source, target = sides
    assert (await compare(source, target)).differences == []
    for text in ("", "2026-03-30"):
        await target.marks.put(name, text)
        assert (await compare(source, target)).differences == ["the marks sending-off and digests differ"]
    await source.marks.put(name, "2026-03-30")
    assert (await compare(source, target)).differences == []


@pytest.mark.parametrize("name", ["sending-off", "digests"])
async def test_a_mark_that_only_the_target_has_does_not_stay(sides: list[FolderSide], name: str) -> None:
    source, target = sides
    await target.marks.put(name, "2026-03-30")
    assert (await move(source, target, utc_now(), lambda *_: None)).differences == []
    assert not await target.marks.has(name)


@pytest.mark.parametrize("started", [0, 1])
async def test_a_move_does_not_end_if_a_server_was_started_meanwhile(
    sides: list[FolderSide], started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, *(number == started for number in range(2))])

    async def server_runs(side: FolderSide) -> bool:
        return next(answers)

    monkeypatch.setattr(FolderSide, "server_runs", server_runs)
    source, target = sides
    report = await move(source, target, utc_now(), lambda *_: None)
    assert report.differences == [f"a server was started on {sides[started].name} meanwhile"]
    marks = await marks_in(source.marks)
    assert marks.source
    assert not marks.source.ended
    assert await target.marks.has(TARGET)


async def test_a_move_that_is_cut_off_at_its_end_has_marked_the_source_as_moved(
    sides: list[FolderSide], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a `cancel` would let both places be used."""
    drop = FileMarks.drop

    async def lost(marks: FileMarks, name: str) -> None:
        if name == TARGET:
            raise OSError("the disk is lost")
        await drop(marks, name)

    source, target = sides
    monkeypatch.setattr(FileMarks, "drop", lost)
    with pytest.raises(OSError, match="is lost"):
        await move(source, target, utc_now(), lambda *_: None)
    monkeypatch.undo()
    marks = await marks_in(source.marks)
    assert marks.source
    assert marks.source.ended
    await move(source, target, utc_now(), lambda *_: None)
    assert not await target.marks.has(TARGET)


def test_a_folder_of_copies_that_cannot_be_listed_ends_a_move(folder: TenantFolder) -> None:
    folder.uploads.rmdir()
    assert {each.path for each in facts_in(folder)} == {b"", b"results", b"test"}
    folder.uploads.touch()
    with pytest.raises(NotADirectoryError):
        facts_in(folder)


def test_a_link_to_a_folder_among_copies_ends_a_move(folder: TenantFolder) -> None:
    os.symlink(folder.results, folder.runs / "1.reports")
    with pytest.raises(TenantRefused, match=r"1\.reports is neither a file nor a folder"):
        facts_in(folder)


async def test_a_path_that_is_too_long_in_the_target_is_refused_before_a_move(sides: list[FolderSide]) -> None:
    before = len(os.fsencode(sides[1].name.removeprefix("the data folder "))) + len("/tenants/.moving-acme/files/")
    fits = b"/".join([b"x" * 200] * 25)[: 4095 - before]
    await sides[1].refuse_files("acme", [Fact(True, fits, 1)])
    with pytest.raises(TenantRefused, match=r"paths of at most 4,095 bytes, and in .* some of acme are longer: xxx"):
        await sides[1].refuse_files("acme", [Fact(True, fits + b"y", 1)])
