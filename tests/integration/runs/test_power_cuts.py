"""The runs of a start after a power cut: the disk has what was flushed, and perhaps more."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.landing import Landing
from engine.sqlite.store import store_file
from ground.moments import utc_now
from importer.model import ImportState
from server.files.local.placing import Placement
from server.runs.ending import Ending
from server.runs.recovery import recover_runs
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse
from tests.support.sftp import sftp_house

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

QUEUED, ABORTED = ImportState.QUEUED, ImportState.ABORTED
LAST_STEPS: dict[str, tuple[Any, str]] = {"arriving": (os, "rename"), "queued": (Placement, "keep")}
"""The step before which the row of a file is on the disk in this state."""


async def landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> AcceptingHouse:
    """Land a file over another. The database is then as it was on the disk when its row was in the state `row`."""
    scene, on_disk = AcceptingHouse("/invoices/*"), tmp_path / "on-disk"
    owner, name = LAST_STEPS[row]
    real: Callable[..., None] = getattr(owner, name)

    def noting(*args: object, **where: object) -> None:
        on_disk.mkdir()
        for file in store.parent.glob("headcount.db*"):
            shutil.copy(file, on_disk)
        real(*args, **where)

    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        store = store_file(scene.house.folder.root.parent.parent)
        async with scene.house.client() as sftp:
            await scene.put(sftp, OLD)
            await scene.states()
            with monkeypatch.context() as patched:
                patched.setattr(owner, name, noting)
                await scene.put(sftp, NEW)
                await scene.states()
    for file in store.parent.glob("headcount.db*"):
        file.unlink()
    for file in on_disk.glob("headcount.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, store.parent)
    assert scene.seen() == [(1, "queued"), (2, row)]
    return scene


def lose_copy(scene: AcceptingHouse) -> None:
    scene.house.folder.run_copy(2).unlink()


async def after_a_start(scene: AcceptingHouse) -> list[ImportState]:
    """Recover the runs as a start does; return their states."""
    async with scene.house.stored.open() as tenants:
        runs = tenants.store.runs()
        ending = Ending(runs, tenants.folder, lambda _: None, archive=tenants.archive, results=tenants.results)
        await recover_runs(runs, ending, tenants.folder, archive=tenants.archive)
        return [run.state for run in await runs.page("acme")][::-1]


@pytest.mark.logs("run_recovered")
@pytest.mark.parametrize(("row", "copy"), [("arriving", "kept"), ("arriving", "lost"), ("queued", "lost")])
async def test_a_file_is_queued_after_a_power_cut_behind_its_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, copy: str
) -> None:
    scene = await landed(tmp_path, monkeypatch, row)
    if copy == "lost":
        lose_copy(scene)
    for _ in range(2):
        assert await after_a_start(scene) == [QUEUED, QUEUED]
        assert (scene.house.at(AT), scene.copy(2)) == (NEW, NEW)


@pytest.mark.parametrize("visible", [OLD, None])
async def test_a_file_that_was_not_visible_yet_is_aborted_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: bytes | None
) -> None:
    scene = await landed(tmp_path, monkeypatch, "arriving")
    lose_copy(scene)
    (scene.house.files / AT).unlink()
    if visible is not None:
        scene.house.publish(AT, visible)
    assert await after_a_start(scene) == [QUEUED, ABORTED]
    assert (scene.house.at(AT), scene.copy(2)) == (visible, None)


async def test_a_run_without_its_copy_gets_no_file_of_other_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = await landed(tmp_path, monkeypatch, "queued")
    lose_copy(scene)
    (scene.house.files / AT).unlink()
    scene.house.publish(AT, OLD)
    assert await after_a_start(scene) == [QUEUED, QUEUED]
    assert scene.copy(2) is None


class Failing:
    """A placing that fails."""

    def __init__(self, sha256: str) -> None:
        self._sha256 = sha256

    def sha256(self) -> str:
        return self._sha256

    def place(self, copy: Path) -> None:
        raise OSError(errno.EIO, "it broke")

    def keep(self) -> None: ...

    def undo(self) -> None: ...


async def test_an_upload_that_failed_does_not_get_a_later_file_of_the_same_bytes(tmp_path: Path) -> None:
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        (run,) = await scene.runs()
        facts = (run.hook, run.path, run.size, utc_now(), Failing(run.sha256 or ""))
        again = Landing("acme", *facts, scene.house.folder.run_copy)
        assert (await scene.store.land(again)).failure is not None  # type: ignore[misc]
        await scene.put(sftp, NEW)
    assert scene.seen() == [(1, "queued"), (2, "arriving"), (3, "queued")]
    assert await after_a_start(scene) == [QUEUED, ABORTED, QUEUED]
