"""A short file keeps its run although a flush fails, the server is killed, or its folder is new."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.sqlite.server import keeping
from importer.model import ImportState
from server.files.local.at_once import SHORT_FILE, AtOnce
from server.files.local.files import LocalFiles
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse, accepting_house
from tests.support.disk import DiskLog
from tests.support.sftp import answer_to, sftp_house
from tests.support.waiting import eventually

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

DEEP = "deep/a/march.csv"


class Folders:
    """The folders that were flushed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._flushed: set[tuple[int, int]] = set()
        self._real = os.fsync
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fsync(self, fd: int) -> None:
        self._real(fd)
        facts = os.fstat(fd)
        self._flushed.add((facts.st_dev, facts.st_ino))

    def has(self, folder: Path) -> bool:
        facts = folder.stat()
        return (facts.st_dev, facts.st_ino) in self._flushed

    def forget(self) -> None:
        self._flushed.clear()


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AcceptingHouse]:
    """Files come to the disk when a test wants it."""
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    async with accepting_house(tmp_path, "/invoices/*", "/deep/*/march.csv") as scene:
        yield scene


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Folders:
    return Folders(monkeypatch)


@pytest.mark.logs("file_placed_again")
async def test_a_start_brings_a_file_of_a_killed_process_to_disk(
    tmp_path: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await killed_after_landing(tmp_path, monkeypatch, AT)
    assert scene.seen() == [(1, "queued")]
    folders.forget()
    assert (await scene.after_a_start(), scene.landed_files()) == ([ImportState.QUEUED], [])
    seen, copies = scene.house.files / AT, scene.house.folder.runs
    assert (scene.house.at(AT), scene.copy(1)) == (NEW, NEW)
    assert (folders.has(seen), folders.has(seen.parent), folders.has(copies)) == (True, True, True)


async def killed_after_landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> AcceptingHouse:
    """Land files; the server is killed before they are on the disk."""
    scene = AcceptingHouse("/invoices/*")

    def killed(*_: object) -> None:
        raise OSError(errno.EIO, "it was killed")

    with monkeypatch.context() as patched:
        patched.setattr(AtOnce, "keep", killed)
        async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
            for name in names:
                await scene.put(sftp, NEW, name)
    return scene


async def test_a_start_flushes_each_file_and_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "invoices/april.csv"
    scene = await killed_after_landing(tmp_path, monkeypatch, AT, other)
    files = scene.house.files
    folders = {"root": files.parent, "folder": files / "invoices", "copies": scene.house.folder.runs}
    disk = DiskLog(monkeypatch)
    await scene.after_a_start()
    steps = disk.of(march=files / AT, april=files / other, **folders)
    assert sorted(steps) == ["fsync april", "fsync copies", "fsync folder", "fsync march", "fsync root"]
    assert scene.landed_files() == []


async def test_a_start_writes_a_file_again_after_a_flush_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await killed_after_landing(tmp_path, monkeypatch, AT)
    flushes = FailingFlushes(monkeypatch, scene.house.files / AT)
    flushes.left = 1
    with pytest.raises(OSError, match="it broke"):
        await scene.after_a_start()
    flushes.written.clear()
    assert scene.landed_files() == [(1, NEW)]
    await scene.after_a_start()
    assert (NEW in flushes.written, scene.landed_files()) == (True, [])


class FailingFlushes:
    """Flushes of one file or folder fail while `left` is above 0. The bytes that are written meanwhile are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
        self.left = 0
        self.written: list[bytes] = []
        self._place = place
        self._fsync, self._pwrite = os.fsync, os.pwrite
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "pwrite", self.pwrite)

    def fsync(self, fd: int) -> None:
        if self.left and self._place.exists() and os.path.samestat(os.fstat(fd), self._place.stat()):
            self.left -= 1
            raise OSError(errno.EIO, "it broke")
        self._fsync(fd)

    def pwrite(self, fd: int, content: bytes, offset: int) -> int:
        self.written.append(content)
        return self._pwrite(fd, content, offset)


@pytest.mark.parametrize("what", ["file", "folder", "copies"])
async def test_a_later_file_waits_for_one_whose_flush_failed(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    files = scene.house.files
    places = {"file": files / AT, "folder": files / "invoices", "copies": scene.house.folder.runs}
    flushes = FailingFlushes(monkeypatch, places[what])
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD, "invoices/april.csv")
        await scene.kept()
        flushes.left = 2
        await scene.put(sftp, OLD)
        await scene.kept()
        await sftp.utime(AT, (7, 8))
        flushes.written.clear()
        with pytest.raises(Exception, match="Send it again later"):
            await scene.put(sftp, NEW)
        assert (scene.house.at(AT), scene.landed_files()) == (OLD, [(2, OLD)])
        assert OLD in flushes.written  # what the failed flush has lost is written again
        assert (await sftp.stat(AT)).mtime == 8
        await scene.put(sftp, NEW)
        await scene.kept()
    assert (scene.house.at(AT), scene.landed_files()) == (NEW, [])


@pytest.mark.logs("files_owed")
async def test_a_flush_that_failed_is_tried_again_without_a_request(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = FailingFlushes(monkeypatch, scene.house.files / AT)
    monkeypatch.setattr(keeping, "LATER_S", 0.01)
    async with scene.house.client() as sftp:
        flushes.left = 2
        await scene.put(sftp, NEW)
        await eventually(lambda: scene.landed_files() == [], what="the bytes to be deleted")
    assert (flushes.left, scene.house.at(AT)) == (0, NEW)


async def test_a_file_that_was_renamed_comes_to_the_disk_after_a_flush_that_failed(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open for reading only: its bytes cannot be written again through that."""
    flushes = FailingFlushes(monkeypatch, scene.house.files / AT)
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD, "part")
        flushes.left = 1
        await sftp.rename("part", AT)
        await scene.kept()
        assert (scene.landed_files(), flushes.written[1:]) == ([(1, OLD)], [])
        await scene.put(sftp, NEW)
        await scene.kept()
    assert (scene.house.at(AT), scene.landed_files()) == (NEW, [])
    assert OLD in flushes.written[1:]


async def test_a_file_that_can_be_read_in_part_does_not_land(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read returns what is before the fault of the disk."""
    real = os.pread
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", lambda fd, size, offset: real(fd, size, offset)[:-1])
            assert "Input/output error" in await answer_to(scene.put(sftp, NEW))
        assert (scene.house.at(AT), scene.copy(2), scene.landed_files()[1:]) == (OLD, None, [])
        await scene.put(sftp, NEW)
        assert scene.house.at(AT) == NEW


async def test_a_file_that_is_written_again_in_part_is_not_on_the_disk(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = FailingFlushes(monkeypatch, scene.house.files / AT)
    async with scene.house.client() as sftp:
        flushes.left = 1
        await scene.put(sftp, OLD)
        await scene.kept()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", lambda fd, content, offset: flushes.pwrite(fd, content[:-1], offset))
            await scene.kept()
            assert scene.landed_files() == [(1, OLD)]
        await scene.kept()
        assert scene.landed_files() == []


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced in steps"])
async def test_a_file_whose_flush_failed_keeps_its_name_until_it_is_on_disk(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    flushes = FailingFlushes(monkeypatch, scene.house.folder.runs)
    long = bytes(SHORT_FILE + 1)
    async with scene.house.client() as sftp:
        flushes.left = 2
        await scene.put(sftp, NEW)
        await scene.kept()
        for refused in (True, False):
            if how == "removed":
                answer = await answer_to(sftp.remove(AT))
            elif how == "renamed":
                answer = await answer_to(sftp.rename(AT, "away"))
            else:
                answer = await answer_to(scene.put(sftp, long))
            assert ("it broke" in answer, scene.house.at(AT) == NEW) == (refused, refused)
    assert scene.landed_files() == []


async def test_files_stay_open_for_the_next_session_until_all_is_on_disk(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = FailingFlushes(monkeypatch, scene.house.folder.runs)
    flushes.left = 2
    async with scene.house.client() as sftp:
        await scene.put(sftp, NEW)
    await scene.kept()
    await scene.house.nothing_open()
    scene.house.listener._sessions.retire_files(1e-9)
    async with scene.house.client() as sftp:
        assert "it broke" in await answer_to(sftp.remove(AT))
        await sftp.remove(AT)
    await scene.house.nothing_open()
    scene.house.listener._sessions.retire_files(1e-9)
    assert scene.house.listener._sessions._opened == {}


async def test_a_removal_waits_for_the_copy_of_a_short_file_before_a_long_one(scene: AcceptingHouse) -> None:
    space = scene.house.listener._files.open("acme", scene.house.folder.root)
    assert isinstance(space, LocalFiles)
    waited: list[str] = []

    async def stored() -> None:
        waited.append(AT)

    space.has_landed(f"/{AT}", stored)
    space.has_landed("/sync_users.csv", None)
    async with space.unlanding():
        assert waited == [AT]
    space.retire()


async def test_the_folders_of_a_landed_file_are_on_disk_before_the_ok(
    scene: AcceptingHouse, folders: Folders
) -> None:
    async with scene.house.client() as sftp:
        await sftp.mkdir("deep/a")
        await scene.put(sftp, NEW, DEEP)
        assert (folders.has(scene.house.files / "deep"), folders.has(scene.house.files)) == (True, True)
        await sftp.mkdir("deep/b")
        await scene.states()
        await sftp.remove(DEEP)
        await sftp.rmdir("deep/a")
        await sftp.rename("deep/b", "deep/a")
        folders.forget()
        await scene.put(sftp, NEW, DEEP)
        assert folders.has(scene.house.files / "deep")
