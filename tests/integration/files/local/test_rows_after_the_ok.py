"""The row of a landed file is on the disk as queued soon after the OK, and before what it says can change."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from engine.sqlite import wal
from engine.sqlite.server import keeping
from engine.sqlite.store import open_store, store_file
from importer.model import ImportState
from server.files.local.at_once import SHORT_FILE, AtOnce
from server.files.local.space import CHANGED_LATER
from server.runs.run_hook import RunHook
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse, accepting_house
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.sftp import answer_to

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

DEEP = "deep/a/march.csv"

Request = Callable[[asyncssh.SFTPClient], Awaitable[object]]
UNLANDING: dict[str, Request] = {
    "removed": lambda sftp: sftp.remove(AT),
    "renamed": lambda sftp: sftp.rename(AT, "away"),
    "renamed over another": lambda sftp: sftp.posix_rename(AT, "part"),
    "renamed to a path of a hook": lambda sftp: sftp.rename(AT, "invoices/april.csv"),
    "replaced by another file": lambda sftp: sftp.posix_rename("part", AT),
    "moved with its folder": lambda sftp: sftp.rename("deep/a", "elsewhere"),
}


class Flushes:
    """The flushes of the log, which can be held back or fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failure: Exception | None = None
        self.may_end = threading.Event()
        self.may_end.set()
        self.broken = False
        self._real, self._write_again = keeping.flush_log, wal.write_again
        monkeypatch.setattr(keeping, "flush_log", self._flush)
        monkeypatch.setattr(wal, "write_again", self._written_again)

    def _flush(self, file: Path) -> None:
        self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        self._real(file)

    def _written_again(self, path: str) -> None:
        if self.broken:
            raise OSError(errno.EIO, "it is still broken")
        self._write_again(path)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AcceptingHouse]:
    async with accepting_house(tmp_path, "/invoices/*", "/deep/*/march.csv") as scene:
        yield scene


@pytest.fixture
def flushes(scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flushes]:
    flushes = Flushes(monkeypatch)
    yield flushes
    flushes.may_end.set()


async def landed(scene: AcceptingHouse, sftp: asyncssh.SFTPClient) -> None:
    await scene.put(sftp, OLD, "part")
    await sftp.mkdir("deep/a")
    await scene.put(sftp, NEW)
    await scene.put(sftp, NEW, DEEP)
    await scene.kept()


def overwritten(scene: AcceptingHouse) -> Request:
    return lambda sftp: scene.put(sftp, NEW)


async def test_the_ok_does_not_wait_until_the_row_is_on_disk_as_queued(
    scene: AcceptingHouse, flushes: Flushes
) -> None:
    async with scene.house.client() as sftp:
        flushes.may_end.clear()
        await scene.put(sftp, NEW)
        assert scene.seen() == [(1, "queued")]
        flushes.may_end.set()
        assert await scene.states() == [ImportState.QUEUED]


@pytest.mark.parametrize("how", UNLANDING)
async def test_a_landed_file_keeps_its_name_until_its_row_is_on_disk(
    scene: AcceptingHouse, flushes: Flushes, how: str
) -> None:
    async with scene.house.client() as sftp, scene.house.client() as other:
        await landed(scene, sftp)
        flushes.may_end.clear()
        newest = DEEP if how == "moved with its folder" else AT
        await scene.put(sftp, OLD, newest)
        changing = asyncio.ensure_future(UNLANDING[how](sftp))
        for _ in range(5):
            assert await other.stat(newest)
        assert (changing.done(), scene.house.at(newest)) == (False, OLD)
        flushes.may_end.set()
        await changing
        assert scene.house.at(newest) == (OLD if how == "replaced by another file" else None)
        assert await scene.counts_truly()


@pytest.mark.parametrize("how", [*UNLANDING, "overwritten"])
@pytest.mark.parametrize("when", ["after its OK", "while it lands"])
async def test_a_landed_file_keeps_its_name_even_if_its_hook_is_off(
    scene: AcceptingHouse, flushes: Flushes, monkeypatch: pytest.MonkeyPatch, how: str, when: str
) -> None:
    def turn_off(*_: object) -> None:
        monkeypatch.setattr(scene.house.listener._files._house.hooks, "_on", lambda _: ())

    async with scene.house.client() as sftp, scene.house.client() as other:
        await landed(scene, sftp)
        if when == "while it lands":
            monkeypatch.setattr(RunHook, "_queued", turn_off)
        flushes.may_end.clear()
        newest = DEEP if how == "moved with its folder" else AT
        await scene.put(sftp, OLD, newest)
        turn_off()
        changing = asyncio.ensure_future((UNLANDING | {"overwritten": overwritten(scene)})[how](sftp))
        for _ in range(5):
            assert await other.stat(newest)
        assert (changing.done(), scene.house.at(newest)) == (False, OLD)
        flushes.may_end.set()
        await asyncio.wait([changing])
        assert await scene.counts_truly()


@pytest.mark.parametrize("how", ["removed", "renamed", "moved with its folder"])
async def test_a_landed_file_whose_row_cannot_be_brought_to_disk_stays(
    scene: AcceptingHouse, flushes: Flushes, how: str
) -> None:
    async with scene.house.client() as sftp:
        await landed(scene, sftp)
        flushes.failure, flushes.broken = OSError(errno.EIO, "it broke"), True
        newest = DEEP if how == "moved with its folder" else AT
        await scene.put(sftp, OLD, newest)
        with pytest.raises(asyncssh.SFTPFailure, match="it broke"):
            await UNLANDING[how](sftp)
        assert scene.house.at(newest) == OLD
        flushes.broken = False  # a flush of the log might succeed now without what the disk has lost
        await UNLANDING[how](sftp)
        assert scene.house.at(newest) is None


@pytest.mark.parametrize("how", ["removed", "renamed", "replaced by another file"])
@pytest.mark.parametrize("broken", [False, True])
async def test_a_flush_that_failed_once_refuses_no_later_request(
    scene: AcceptingHouse, flushes: Flushes, how: str, *, broken: bool
) -> None:
    async with scene.house.client() as sftp:
        await landed(scene, sftp)
        flushes.failure, flushes.broken = OSError(errno.EMFILE, "too many open files"), broken
        await scene.put(sftp, OLD)
        await scene.kept()
        flushes.failure, flushes.broken = None, False
        await UNLANDING[how](sftp)
        assert scene.house.at(AT) == (OLD if how == "replaced by another file" else None)


async def test_a_landed_file_keeps_its_name_until_its_copy_is_on_disk(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = AtOnce.keep, [OSError(errno.EIO, "it broke"), OSError(errno.EIO, "it broke again")]

    def keep(placing: AtOnce, folders: set[tuple[int, int]]) -> None:
        if failures:
            raise failures.pop(0)
        real(placing, folders)

    monkeypatch.setattr(keeping, "LATER_S", 3600)
    async with scene.house.client() as sftp:
        monkeypatch.setattr(AtOnce, "keep", keep)
        await scene.put(sftp, NEW)
        await scene.kept()
        with pytest.raises(asyncssh.SFTPFailure, match="it broke again"):
            await sftp.remove(AT)
        assert (scene.house.at(AT), scene.seen()) == (NEW, [(1, "queued")])
        await sftp.remove(AT)
        assert scene.house.at(AT) is None


async def test_a_start_brings_to_disk_what_a_killed_process_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, real = bytearray(), os.pwrite

    def pwrite(fd: int, content: bytes, at: int) -> int:
        written[at:] = content
        return real(fd, content, at)

    file = store_file(tmp_path)
    log = file.with_name("headcount.db-wal")
    async with open_store(file, make=True, serving=True):
        before = log.read_bytes()
        monkeypatch.setattr(os, "pwrite", pwrite)
        async with open_store(file, serving=True):
            assert before == bytes(written)


@needs(TMPFS)
async def test_changes_that_wait_for_a_full_disk_are_refused_in_words_and_recorded(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with accepting_house(disk, "/invoices/*") as scene, scene.house.client() as sftp:
            await scene.put(sftp, OLD)
            long = await sftp.open("invoices/april.csv", "wb")
            await long.write(bytes(SHORT_FILE + 1))
            filler = fill(disk)
            answers = [await answer_to(change) for change in (sftp.remove(AT), sftp.rename(AT, "away"), long.close())]
            assert answers == [f"the disk is full, so {CHANGED_LATER}"] * 3
            assert scene.house.at(AT) == OLD
            filler.unlink()
            await sftp.remove(AT)
