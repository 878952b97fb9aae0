"""Data folders as sides of a move: nothing of them is left out without a word."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from importer.folder import TenantFolder
from server.moving.checking import compare
from server.moving.folder import FolderSide, facts_in
from server.tenants.local.home import make_places, open_folder
from server.tenants.settings import TenantRefused


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


@pytest.mark.parametrize("name", ["sending-off", "digests"])
async def test_marks_that_differ_are_a_difference(sides: list[FolderSide], name: str) -> None:
    source, target = sides
    assert (await compare(source, target)).differences == []
    for text in ("", "2026-03-30"):
        await target.marks.put(name, text)
        assert (await compare(source, target)).differences == ["the marks sending-off and digests differ"]
    await source.marks.put(name, "2026-03-30")
    assert (await compare(source, target)).differences == []


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
