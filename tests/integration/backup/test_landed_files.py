"""Files that landed at hooks just before a backup: it has them as files, and no start brings an older one back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.sqlite.server import keeping
from importer.folder import TenantFolder
from server.backup.taking import _Taking
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse
from tests.support.backups import brought_back, saved
from tests.support.sftp import sftp_house

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

OTHER = "invoices/april.csv"
NEWEST = b"net\n333\n"


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AcceptingHouse]:
    """Three files have landed, two of them at one path, and are in the database, too."""
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        async with scene.house.client() as sftp:
            await scene.put(sftp, OLD)
            await scene.put(sftp, NEW)
            await scene.put(sftp, NEW, OTHER)
        yield scene


async def backed_up(scene: AcceptingHouse, folder: Path) -> Path:
    """Back up, and return a data folder with the restored backup."""
    data = scene.house.folder.root.parent.parent
    await asyncio.to_thread(saved, data, folder / "backup")
    await asyncio.to_thread(brought_back, folder / "backup", folder / "restored")
    return folder / "restored"


async def test_a_backup_has_the_files_that_landed_just_before_it(scene: AcceptingHouse, tmp_path: Path) -> None:
    restored = await backed_up(scene, tmp_path)
    folder = TenantFolder(restored / "tenants" / "acme")
    assert (scene.landed_files(restored), len(scene.landed_files())) == ([], 3)
    assert ((folder.files / AT).read_bytes(), (folder.files / OTHER).read_bytes()) == (NEW, NEW)
    assert [folder.run_copy(number).read_bytes() for number in (1, 2, 3)] == [OLD, NEW, NEW]


async def test_a_database_from_a_backup_brings_no_older_file_back(scene: AcceptingHouse, tmp_path: Path) -> None:
    restored = await backed_up(scene, tmp_path)
    async with scene.house.client() as sftp:
        await scene.put(sftp, NEWEST)
        await sftp.remove(OTHER)
    await scene.kept()
    data = scene.house.folder.root.parent.parent
    await scene.house.listener.close(0)
    for file in data.glob("headcount.db*"):
        file.unlink(missing_ok=True)
    shutil.copy(restored / "headcount.db", data)
    await scene.after_a_start()
    assert (scene.house.at(AT), scene.house.at(OTHER)) == (NEWEST, None)


async def test_a_change_while_a_backup_is_written_lets_it_bring_no_older_file_back(
    scene: AcceptingHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = _Taking._copy_pins

    def changed_before(taking: _Taking, pins: Any) -> Any:
        (scene.house.files / AT).unlink()
        (scene.house.files / AT).write_bytes(NEWEST)
        (scene.house.files / OTHER).unlink()
        return real(taking, pins)

    monkeypatch.setattr(_Taking, "_copy_pins", changed_before)
    restored = await backed_up(scene, tmp_path)
    assert scene.landed_files(restored) == []


@pytest.mark.parametrize("lost", [AT, "copy"])
async def test_a_backup_of_files_that_a_power_cut_took_has_their_bytes(
    scene: AcceptingHouse, tmp_path: Path, lost: str
) -> None:
    (scene.house.folder.run_copy(1) if lost == "copy" else scene.house.files / lost).unlink()
    restored = await backed_up(scene, tmp_path)
    assert scene.landed_files(restored) == [(1, OLD), (2, NEW)]
