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

from engine.landing import Landing
from engine.sqlite.server import runs as rows
from ground.moments import utc_now
from importer.errors import Refused
from importer.model import ImportState
from server.files.local.landing import SHORT_FILE
from server.runs import run_hook
from server.runs.run_hook import RunHook
from server.sftp.handler import SftpHandler
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


def failing_at(step: int, real: Callable[..., None]) -> Callable[..., None]:
    """Return `real`, which fails at its call number `step`."""
    calls: Iterator[int] = itertools.count(1)

    def failing(*args: Any, **kwargs: Any) -> None:
        if next(calls) == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*args, **kwargs)

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


@pytest.mark.logs("run_queued")
async def test_a_short_file_is_a_queued_run_with_its_copy_at_the_ok(scene: AcceptingHouse) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.put(sftp, NEW, "part")
        await sftp.rename("part", AT)
        assert await scene.states() == [QUEUED, QUEUED]
        assert (scene.copy(1), scene.copy(2), scene.house.at(AT)) == (OLD, NEW, NEW)
        assert (scene.house.staged(), await scene.counts_truly()) == ([], True)


async def test_the_client_has_its_ok_before_the_line_of_its_run_is_logged(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, events = SftpHandler.send_packet, list[str]()

    def answer(*args: Any) -> None:
        events.append("answer")
        real(*args)

    async with scene.house.client() as sftp:
        file = await sftp.open(AT, "wb")
        await file.write(NEW)
        monkeypatch.setattr(SftpHandler, "send_packet", answer)
        monkeypatch.setattr(run_hook.log, "info", lambda *_, **__: events.append("line"))
        await file.close()
        await eventually(lambda: "line" in events)
    assert events[:2] == ["answer", "line"]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("how", ["sent", "renamed"])
async def test_row_and_bytes_are_on_disk_before_the_file_is_visible(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, how: str, *, slow: bool
) -> None:
    real, seen = os.rename, list[object]()
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.states()  # the thread of the database has brought the copy to the disk
        file = await sftp.open("part" if how == "renamed" else AT, "wb")
        await file.write(NEW)
        if how == "renamed":
            await file.close()
        own = scene.house.files / "part" if how == "renamed" else next(scene.house.folder.staging.iterdir())
        if slow:
            slow_flushes(monkeypatch, own)
        monkeypatch.setattr(os, "rename", lambda *args, **where: (seen.append(scene.seen()), real(*args, **where)))
        disk = DiskLog(monkeypatch)
        await (sftp.rename("part", AT) if how == "renamed" else file.close())
        await scene.states()
        steps = disk.of(
            file=scene.house.files / AT, runs=scene.house.folder.runs, folder=scene.house.files / "invoices"
        )
    assert steps == ["fsync file", "link runs", "rename folder", "fsync folder", "fsync runs"]
    assert seen == [[(1, "queued"), (2, "arriving")]]


@pytest.mark.parametrize("name", ["link", "rename", "fsync"])
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


@pytest.mark.parametrize(("step", "states"), [("_promise", [QUEUED]), ("_queue", [QUEUED, ABORTED])])
async def test_a_database_that_fails_at_any_step_leaves_the_old_file_and_no_copy(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, step: str, states: list[ImportState]
) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        with monkeypatch.context() as patched:
            patched.setattr(rows, step, full)
            with pytest.raises(asyncssh.SFTPFailure, match="the disk is full"):
                await scene.put(sftp, NEW)
        assert (await scene.states(), scene.house.at(AT), scene.copy(2)) == (states, OLD, None)
        await scene.put(sftp, NEW)
        assert (await scene.states())[-1] is QUEUED


def full(*_: object) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


@pytest.mark.logs("sessions_cut")
async def test_a_stop_during_a_landing_waits_for_its_end(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.house.connect() as connection:
        sftp = await connection.start_sftp_client()
        await scene.put(sftp, NEW, "part")
        begun = slow_flushes(monkeypatch, scene.house.files / "part")
        renaming = asyncio.ensure_future(sftp.rename("part", AT))
        await begun.wait()
        await scene.house.listener.close(0)
        assert (scene.house.at(AT), scene.copy(1), await scene.states()) == (NEW, NEW, [QUEUED])
        await asyncio.wait([renaming])


async def test_nothing_lands_for_a_tenant_that_is_removed_meanwhile(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.house.client() as sftp:
        file = await sftp.open(AT, "wb")
        await file.write(NEW)
        begun = slow_flushes(monkeypatch, next(scene.house.folder.staging.iterdir()))
        closing_it = asyncio.ensure_future(file.close())
        await begun.wait()
        await asyncio.to_thread(scene.house.stored.remove, "acme")
        with pytest.raises(asyncssh.SFTPError):
            await closing_it
    assert scene.seen() == []
    (removed,) = (scene.house.folder.root.parent.parent / "removed").iterdir()
    assert list((removed / "files" / "invoices").iterdir()) == []
    assert list((removed / "runs").iterdir()) == []


async def test_a_long_file_is_flushed_before_its_row(scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunHook, "at_once", None)
    async with scene.house.client() as sftp:
        await scene.put(sftp, bytes(SHORT_FILE + 1))
        assert await scene.states() == [QUEUED]


class Noting:
    """A placing that notes its calls, and the rows that another process sees then."""

    def __init__(self, scene: AcceptingHouse) -> None:
        self._scene = scene
        self.failure: Exception | None = None
        self.calls: list[tuple[str, object]] = []

    def sha256(self) -> str:
        return "ab" * 32

    def place(self, copy: Path) -> None:
        self.calls.append((copy.name, self._scene.seen()))
        if self.failure is not None:
            raise self.failure

    def keep(self) -> None:
        self.calls.append(("keep", self._scene.seen()))

    def undo(self) -> None:
        self.calls.append(("undo", self._scene.seen()))


def landing(scene: AcceptingHouse, placing: Noting, tenant: str = "acme") -> Landing:
    facts = ("invoices", "/invoices/march.csv", 5, utc_now())
    return Landing(tenant, *facts, placing, scene.house.folder.run_copy)


async def test_the_file_is_placed_between_the_rows_arriving_and_queued(scene: AcceptingHouse) -> None:
    placing = Noting(scene)
    made = await scene.store.land(landing(scene, placing))  # type: ignore[misc]
    assert (made.run_id, made.failure) == (1, None)
    await made.stored()
    assert placing.calls == [("1.file", [(1, "arriving")]), ("keep", [(1, "queued")])]
    assert [run.sha256 for run in await scene.runs()] == ["ab" * 32]
    assert (scene.seen(), scene.store.changed.is_set()) == ([(1, "queued")], True)


async def test_a_file_that_cannot_be_placed_is_undone_and_its_run_still_arrives(scene: AcceptingHouse) -> None:
    placing = Noting(scene)
    placing.failure = OSError(errno.EIO, "it broke")
    made = await scene.store.land(landing(scene, placing))  # type: ignore[misc]
    assert (made.run_id, made.failure) == (1, placing.failure)
    assert placing.calls[1] == ("undo", [(1, "arriving")])
    assert (scene.seen(), scene.store.changed.is_set()) == ([(1, "arriving")], False)


async def test_a_file_of_an_unknown_tenant_makes_no_run(scene: AcceptingHouse) -> None:
    placing = Noting(scene)
    with pytest.raises(Refused, match="the tenant initech no longer exists"):
        await scene.store.land(landing(scene, placing, "initech"))  # type: ignore[misc]
    await scene.states()
    assert placing.calls == [("keep", [])]


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
        disk = DiskLog(monkeypatch)
        with pytest.raises(asyncssh.SFTPFailure, match="the disk is full"):
            await file.close()
        assert disk.steps[-1] == ("fsync", inode)  # the journal of a killed process may have been flushed before
        await eventually(lambda: not scene.house.staged(), what="an empty staging folder")
