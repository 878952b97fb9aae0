"""The files of a start after a power cut: the disk has what was flushed, and any part of what was written later."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.landing import LandedFile
from engine.sqlite.server import keeping
from engine.sqlite.store import store_file
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.model import ImportState
from server.files.local.again import place_again
from server.files.local.at_once import SHORT_FILE, AtOnce
from server.files.local.leftovers import mark
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.sftp import sftp_house
from tests.support.writing import by_hand, without_overwriting

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

QUEUED, ABORTED = ImportState.QUEUED, ImportState.ABORTED
LOST = bytes(len(NEW))
"""The content of an inode whose length reached the disk, but not its bytes."""


async def landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> AcceptingHouse:
    """Land a file over another. The database is then as it was on the disk before a step of that."""
    scene, on_disk = AcceptingHouse("/invoices/*"), tmp_path / "on-disk"
    real: Callable[..., Any] = getattr(owner, name)

    def noting(*args: object) -> Any:
        on_disk.mkdir()
        for file in store.parent.glob("headcount.db*"):
            shutil.copy(file, on_disk)
        return real(*args)

    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        store = store_file(scene.house.folder.root.parent.parent)
        async with scene.house.client() as sftp:
            await scene.put(sftp, OLD)
            await scene.kept()
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, noting)
                await scene.put(sftp, NEW)
                await scene.kept()
    for file in store.parent.glob("headcount.db*"):
        file.unlink()
    for file in on_disk.glob("headcount.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, store.parent)
    return scene


def put_there(file: Path, content: bytes | None) -> None:
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)


def leave_in_staging(scene: AcceptingHouse, content: bytes | None) -> None:
    """Leave the draft of the file: its name was not removed yet, nor its mark."""
    if content is not None:
        draft = scene.house.folder.staging / "draft"
        draft.write_bytes(content)
        fd = os.open(draft, os.O_RDONLY)
        mark(fd, f"/{AT}")
        os.close(fd)


async def test_a_file_is_placed_whatever_of_it_a_power_cut_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await landed(tmp_path, monkeypatch, AtOnce, "show")
    assert (scene.seen(), scene.landed_files()) == ([(1, "queued"), (2, "queued")], [(2, NEW)])
    store = store_file(scene.house.folder.root.parent.parent)
    cut = {file.name: file.read_bytes() for file in store.parent.glob("headcount.db*")}
    for visible, copy, staged in itertools.product((OLD, NEW, LOST, b"", None), (NEW, LOST, None), (NEW, None)):
        for file in store.parent.glob("headcount.db*"):
            file.unlink()
        for name, content in cut.items():
            (store.parent / name).write_bytes(content)
        put_there(scene.house.files / AT, visible)
        put_there(scene.house.folder.run_copy(2), copy)
        leave_in_staging(scene, staged)
        for _ in range(2):
            assert await scene.after_a_start() == [QUEUED, QUEUED], (visible, copy, staged)
            assert (scene.house.at(AT), scene.copy(1), scene.copy(2)) == (NEW, OLD, NEW)
            assert (scene.landed_files(), scene.house.staged()) == ([], [])


async def test_a_file_without_a_row_after_a_power_cut_has_not_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await landed(tmp_path, monkeypatch, AtOnce, "content")
    put_there(scene.house.files / AT, OLD)  # it is renamed after its row is on the disk
    leave_in_staging(scene, NEW)
    assert await scene.after_a_start() == [QUEUED, ABORTED]
    assert (scene.house.at(AT), scene.copy(2), scene.house.staged()) == (OLD, None, [])


@pytest.mark.parametrize("visible", [OLD, NEW, None])
async def test_a_start_places_no_file_whose_bytes_are_no_longer_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: bytes | None
) -> None:
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        await scene.kept()
    put_there(scene.house.files / AT, visible)
    assert await scene.after_a_start() == [QUEUED]
    assert (scene.house.at(AT), scene.copy(1)) == (visible, NEW)


async def test_a_start_places_no_file_outside_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = await landed(tmp_path, monkeypatch, AtOnce, "show")
    folder, outside = scene.house.files / "invoices", tmp_path / "outside"
    folder.rename(outside)
    put_there(outside / "march.csv", OLD)
    folder.symlink_to(outside)
    assert await scene.after_a_start() == [QUEUED, QUEUED]
    assert (scene.copy(2), scene.landed_files(), scene.house.staged()) == (NEW, [], [])
    assert [each.read_bytes() for each in outside.iterdir()] == [OLD]


async def test_a_start_replaces_a_file_that_the_disk_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system with checksums does not read what a power cut has cut."""
    scene = await landed(tmp_path, monkeypatch, AtOnce, "show")
    put_there(scene.house.files / AT, NEW)
    put_there(scene.house.folder.run_copy(2), NEW)
    damaged = {(scene.house.files / AT).stat().st_ino, scene.house.folder.run_copy(2).stat().st_ino}
    real = os.open

    def failing(path: Any, flags: int, *args: Any, **where: Any) -> int:
        fd = real(path, flags, *args, **where)
        if os.fstat(fd).st_ino in damaged and flags & os.O_ACCMODE == os.O_RDONLY:
            os.close(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return fd

    monkeypatch.setattr(os, "open", failing)
    monkeypatch.setattr(Path, "read_bytes", lambda path: os.fdopen(failing(path, os.O_RDONLY), "rb").read())
    assert await scene.after_a_start() == [QUEUED, QUEUED]
    monkeypatch.undo()
    assert (scene.house.at(AT), scene.copy(2), scene.landed_files()) == (NEW, NEW, [])


async def test_a_start_that_is_repeated_places_no_file_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is full, the work of the last stop is repeated, and clients may remove files."""
    scene = await landed(tmp_path, monkeypatch, AtOnce, "show")
    async with scene.starting() as recovery:
        with monkeypatch.context() as patched:
            patched.setattr(recovery._hooks, "recover", full)
            with pytest.raises(TryAgain, match="the disk is full"):
                await recovery.recover("acme")
        assert (scene.house.at(AT), scene.landed_files()) == (NEW, [])
        put_there(scene.house.files / AT, None)
        await recovery.recover("acme")
        assert (scene.house.at(AT), scene.copy(2)) == (None, NEW)


@needs(TMPFS)
async def test_a_start_that_is_repeated_for_lack_of_space_takes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    content = b"net\n" * (SHORT_FILE // 4)
    with small_disk(tmp_path / "disk") as disk:
        scene = AcceptingHouse("/invoices/*")
        async with sftp_house(disk, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
            await scene.put(sftp, content)
            files = [LandedFile("acme", 1, f"/{AT}", *scene.landed_files()[0][1:], 0)]
        root, staging = scene.house.folder.root, scene.house.folder.staging
        put_there(scene.house.files / AT, None)
        put_there(scene.house.folder.run_copy(1), None)
        os.truncate(filler := fill(disk), filler.stat().st_size - SHORT_FILE // 2)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                place_again(TenantFolder(root), files)
            assert [*staging.iterdir()] == []
        filler.unlink()
        place_again(TenantFolder(root), files)
        assert (scene.house.at(AT), scene.copy(1), [*staging.iterdir()]) == (content, content, [])


@pytest.mark.parametrize("how", ["started", "removed"])
async def test_no_bytes_of_a_file_remain_in_the_database_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    secret = b"secret" * 1000
    scene = await landed(tmp_path, monkeypatch, AtOnce, "show")
    data = scene.house.folder.root.parent.parent
    by_hand(store_file(data), f"UPDATE landed_files SET content = CAST('{secret.decode()}' AS BLOB)")
    without_overwriting(monkeypatch)
    if how == "started":
        await scene.after_a_start()
    else:
        async with scene.house.stored.open() as tenants:
            await tenants.remove("acme")
    assert (scene.landed_files(), secret[:6] in store_file(data).read_bytes()) == ([], False)


async def full(*_: object, **__: object) -> None:
    raise TryAgain("disk_full", "the disk is full")
