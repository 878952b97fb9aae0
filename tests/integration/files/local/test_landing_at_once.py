"""A short file for a hook that accepts every file lands in one call of the store: completely, or not at all."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from engine.sqlite.server import keeping
from engine.sqlite.server import runs as rows
from importer.model import ImportState
from server.files.local.at_once import SHORT_FILE, AtOnce
from server.files.local.placing import Placement
from server.runs.run_hook import RunHook
from server.sftp.wire import Corked
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse, accepting_house
from tests.support.disk import DiskLog
from tests.support.sftp import answer_to
from tests.support.waiting import eventually

pytestmark = pytest.mark.only_on("sqlite", "the files of the engine are in a folder")

QUEUED, ABORTED = ImportState.QUEUED, ImportState.ABORTED


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AcceptingHouse]:
    async with accepting_house(tmp_path, "/invoices/*") as scene:
        yield scene


def failing_at(step: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return `real`, which fails at its call number `step`."""
    calls: Iterator[int] = itertools.count(1)

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    return failing


def slow_flushes(monkeypatch: pytest.MonkeyPatch, file: Path) -> asyncio.Event:
    """Let a flush of `file` take longer than all other steps of its landing; return what is set when it begins."""
    inode, real, begun, loop = file.stat().st_ino, os.fsync, asyncio.Event(), asyncio.get_running_loop()

    def fsync(fd: int) -> None:
        if os.fstat(fd).st_ino == inode:
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.3)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return begun


async def test_the_client_has_its_ok_before_the_line_of_its_run_is_logged(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noting(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def noted(*args: object) -> None:
            real(*args)
            steps.append(name)

        monkeypatch.setattr(owner, name, noted)

    async with scene.house.client() as sftp, sftp.open(AT, "wb") as file:
        await file.write(NEW)
        noting(Corked, "_flush")
        noting(RunHook, "_queued")
        noting(RunHook, "_log_queued")
        await file.close()
        await eventually(lambda: "_log_queued" in steps, what="the line of the run")
    assert steps[:3] == ["_queued", "_flush", "_log_queued"]


@pytest.mark.logs("run_queued")
async def test_a_short_file_is_a_queued_run_with_its_copy_at_the_ok(scene: AcceptingHouse) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.put(sftp, NEW, "part")
        await sftp.rename("part", AT)
        assert await scene.states() == [QUEUED, QUEUED]
        assert (scene.copy(1), scene.copy(2), scene.house.at(AT)) == (OLD, NEW, NEW)
        assert (scene.house.staged(), await scene.counts_truly()) == ([], True)


@pytest.mark.parametrize("how", ["sent", "renamed"])
async def test_row_and_bytes_are_stored_before_the_file_is_visible(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    real, seen = os.rename, list[object]()

    def rename(*args: Any, **where: Any) -> None:
        seen.append((scene.seen(), scene.landed_files()))
        real(*args, **where)

    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.kept()
        file = await sftp.open("part" if how == "renamed" else AT, "wb")
        await file.write(NEW)
        if how == "renamed":
            await file.close()
        monkeypatch.setattr(os, "rename", rename)
        disk = DiskLog(monkeypatch)
        await (sftp.rename("part", AT) if how == "renamed" else file.close())
        await scene.kept()
        steps = disk.of(
            file=scene.house.files / AT, runs=scene.house.folder.runs, folder=scene.house.files / "invoices"
        )
    assert steps == ["link runs", "rename folder", "fsync file", "fsync folder", "fsync runs"]
    assert seen == [([(1, "queued"), (2, "queued")], [(2, NEW)])]


@pytest.mark.parametrize("name", ["dup", "link", "rename"])
@pytest.mark.parametrize("how", ["sent", "renamed"])
async def test_a_disk_that_fails_at_any_step_leaves_the_old_file_and_no_run(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, how: str, name: str
) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.put(sftp, NEW, "part")
        for step in itertools.count(1):
            before = len(await scene.runs())
            with monkeypatch.context() as patched:
                patched.setattr(os, name, failing_at(step, getattr(os, name)))
                answer = await answer_to(sftp.rename("part", AT) if how == "renamed" else scene.put(sftp, NEW))
            if answer == "OK":
                break
            assert "No space left on device" in answer
            assert (scene.house.at(AT), scene.house.at("part")) == (OLD, NEW)
            assert set((await scene.states())[before:]) <= {ABORTED}
            assert [each.name for each in scene.house.folder.runs.iterdir()] == ["1.file"]
            assert (scene.house.staged(), await scene.counts_truly()) == ([], True)
        assert step > 1
        assert (scene.house.at(AT), (await scene.states())[-1]) == (NEW, QUEUED)


async def test_a_database_that_is_full_leaves_the_old_file_and_no_copy(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        with monkeypatch.context() as patched:
            patched.setattr(rows, "_promise", full)
            with pytest.raises(asyncssh.SFTPFailure, match="the disk is full"):
                await scene.put(sftp, NEW)
        assert (await scene.states(), scene.house.at(AT), scene.copy(2)) == ([QUEUED], OLD, None)
        await scene.put(sftp, NEW)
        assert (await scene.states())[-1] is QUEUED


@pytest.mark.parametrize("name", ["_delete", "undo"])
async def test_a_run_whose_file_did_not_land_is_deleted_even_if_that_fails_once(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    owner: Any = Placement if name == "undo" else rows
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", failing_at(1, os.rename))
            patched.setattr(owner, name, failing_at(1, getattr(owner, name)))
            assert await answer_to(scene.put(sftp, NEW)) != "OK"
            await scene.kept()
        assert scene.seen()[:2] in ([(1, "queued")], [(1, "queued"), (3, "aborted")])
        assert (scene.house.at(AT), scene.landed_files()) == (OLD, [])
        await scene.put(sftp, NEW)
        assert (await scene.states())[-1] is QUEUED


async def test_a_run_that_did_not_land_does_not_start_before_it_is_deleted(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    async with scene.house.client() as sftp:
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", failing_at(1, os.rename))
            patched.setattr(rows, "_delete", full)
            assert await answer_to(scene.put(sftp, NEW)) != "OK"
        assert ((1, "queued") in scene.seen(), await scene.store.heads()) == (True, [])
        await scene.kept()
        assert ((1, "queued") in scene.seen(), scene.landed_files()) == (False, [])
        await scene.put(sftp, NEW)
        assert [run.id for run in await scene.store.heads()] == [scene.seen()[-1][0]]


def full(*_: object, **__: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


@pytest.mark.logs("sessions_cut")
async def test_a_stop_during_a_landing_waits_for_its_end(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun, loop = AtOnce.content, asyncio.Event(), asyncio.get_running_loop()

    def content(placing: AtOnce) -> tuple[bytes, int]:
        loop.call_soon_threadsafe(begun.set)
        time.sleep(0.3)  # the close of the listener comes first
        return real(placing)

    monkeypatch.setattr(AtOnce, "content", content)
    async with scene.house.connect() as connection:
        sftp = await connection.start_sftp_client()
        await scene.put(sftp, NEW, "part")
        renaming = asyncio.ensure_future(sftp.rename("part", AT))
        await begun.wait()
        await scene.house.listener.close(0)
        assert (scene.house.at(AT), scene.copy(1), await scene.states()) == (NEW, NEW, [QUEUED])
        await asyncio.wait([renaming])


@pytest.mark.parametrize("again", [False, True])
async def test_nothing_lands_for_a_tenant_that_is_removed_meanwhile(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    real, stored = AtOnce.content, scene.house.stored

    def content(placing: AtOnce) -> tuple[bytes, int]:
        stored.remove("acme")
        if again:
            stored.add("acme")
            scene.house.folder.runs.mkdir()
        return real(placing)

    monkeypatch.setattr(AtOnce, "content", content)
    async with scene.house.client() as sftp:
        with pytest.raises(asyncssh.SFTPError):
            await scene.put(sftp, NEW)
    assert await scene.store.heads() == []  # after the steps of the file: the session may have ended before them
    assert (scene.seen(), scene.landed_files()) == ([], [])
    (removed,) = (scene.house.folder.root.parent.parent / "removed").iterdir()
    assert list((removed / "files" / "invoices").iterdir()) == []
    assert not again or list(scene.house.folder.runs.iterdir()) == []


async def test_a_long_file_is_flushed_before_its_row(scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunHook, "at_once", None)
    async with scene.house.client() as sftp:
        await scene.put(sftp, bytes(SHORT_FILE + 1))
        assert await scene.states() == [QUEUED]


async def test_no_thread_uses_a_file_whose_landing_was_refused(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.house.client() as sftp:
        file = await sftp.open(AT, "wb")
        await file.write(NEW)
        (staged,) = scene.house.folder.staging.iterdir()
        inode = staged.stat().st_ino
        slow_flushes(monkeypatch, staged)
        monkeypatch.setattr(rows, "_promise", full)
        monkeypatch.setattr(RunHook, "land", None)  # it lands in steps
        disk = DiskLog(monkeypatch)
        with pytest.raises(asyncssh.SFTPFailure, match="the disk is full"):
            await file.close()
        assert disk.steps[-1] == ("fsync", inode)  # the journal of a killed process may have been flushed before
        await eventually(lambda: not scene.house.staged(), what="an empty staging folder")
