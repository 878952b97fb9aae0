"""A short file keeps its run although a flush fails, the server is killed, or its folder is new."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from importer.model import ImportState
from server.files.local.files import LocalFiles
from server.files.local.placing import Placement
from server.runs.ending import Ending
from server.runs.recovery import recover_runs
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse, accepting_house
from tests.support.sftp import sftp_house

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
async def scene(tmp_path: Path) -> AsyncIterator[AcceptingHouse]:
    async with accepting_house(tmp_path, "/invoices/*", "/deep/*/march.csv") as scene:
        yield scene


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Folders:
    return Folders(monkeypatch)


async def test_a_start_brings_the_copies_of_a_killed_process_to_disk(
    tmp_path: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = AcceptingHouse("/invoices/*")
    monkeypatch.setattr(Placement, "keep", lambda _: None)  # it is killed before
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        assert await scene.states() == [ImportState.QUEUED]
    folders.forget()
    async with scene.house.stored.open() as tenants:
        runs = tenants.store.runs()
        ending = Ending(runs, tenants.folder, lambda _: None, archive=tenants.archive, results=tenants.results)
        await recover_runs(runs, ending, tenants.folder, archive=tenants.archive)
    assert (scene.copy(1), folders.has(scene.house.folder.runs)) == (NEW, True)


async def test_a_later_file_waits_for_a_copy_whose_flush_failed(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, move, failures, done = Placement.keep, Placement.move, [OSError(errno.EIO, "it broke")] * 2, list[str]()

    def keeping(placement: Placement) -> None:
        if failures:
            raise failures.pop(0)
        keep(placement)
        if placement._copied:
            done.append("kept")

    def moving(placement: Placement) -> None:
        done.append("moved")
        move(placement)

    monkeypatch.setattr(Placement, "keep", keeping)
    monkeypatch.setattr(Placement, "move", moving)
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        with pytest.raises(Exception, match="Send it again later"):
            await scene.put(sftp, NEW)
        assert scene.house.at(AT) == OLD
        await scene.put(sftp, NEW)
        await scene.states()
    assert (scene.house.at(AT), done) == (NEW, ["moved", "kept", "moved", "kept"])


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
        assert folders.has(scene.house.files / "deep/a")
        assert (folders.has(scene.house.files / "deep"), folders.has(scene.house.files)) == (True, True)
        await sftp.mkdir("deep/b")
        await scene.states()
        await sftp.remove(DEEP)
        await sftp.rmdir("deep/a")
        await sftp.rename("deep/b", "deep/a")
        folders.forget()
        await scene.put(sftp, NEW, DEEP)
        assert folders.has(scene.house.files / "deep")
