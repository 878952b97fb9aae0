"""A start places the files whose bytes are stored, in their order, before other work and for their tenant only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.sqlite.server import keeping
from importer.errors import TryAgain
from importer.model import ImportState
from server.upkeep import orphans
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse
from tests.support.sftp import sftp_house

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

OTHER = "invoices/april.csv"
QUEUED = ImportState.QUEUED


async def test_a_start_places_all_files_of_a_tenant_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        data = scene.house.folder.root.parent.parent
        async with scene.house.client() as sftp:
            for content, path in ((b"first", AT), (b"second", OTHER), (b"third", AT)):
                await scene.put(sftp, content, path)
        shutil.copytree(data, tmp_path / "cut")
    put_back(tmp_path / "cut", data)
    assert scene.landed_files() == [(1, b"first"), (2, b"second"), (3, b"third")]
    files = scene.house.files / "invoices"
    for lost in (*files.iterdir(), *scene.house.folder.runs.iterdir()):
        lost.unlink()
    files.joinpath("march.csv").write_bytes(b"before them")
    for _ in range(2):
        assert await scene.after_a_start() == [QUEUED, QUEUED, QUEUED]
        assert (scene.house.at(AT), scene.house.at(OTHER)) == (b"third", b"second")
        assert [scene.copy(number) for number in (1, 2, 3)] == [b"first", b"second", b"third"]
        assert scene.landed_files() == []


def put_back(cut: Path, data: Path) -> None:
    """Let the database be as it was when the power was cut."""
    for file in data.glob("headcount.db*"):
        file.unlink()
    for name in ("headcount.db", "headcount.db-wal"):
        shutil.copy(cut / name, data)


@pytest.fixture
async def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AcceptingHouse:
    """A power cut left the bytes of a file in the database, and the older file at its path."""
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        data = scene.house.folder.root.parent.parent
        async with scene.house.client() as sftp:
            await scene.put(sftp, NEW)
        shutil.copytree(data, tmp_path / "cut")
    put_back(tmp_path / "cut", data)
    scene.house.folder.run_copy(1).unlink()
    (scene.house.files / AT).unlink()
    (scene.house.files / AT).write_bytes(OLD)
    return scene


async def test_a_file_is_placed_again_though_other_work_of_the_start_lacks_disk_space(
    cut: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object) -> None:
        raise TryAgain("disk_full", "the disk is full")

    monkeypatch.setattr(orphans, "recover", fail)
    with pytest.raises(TryAgain):  # from now on a client can read, rename and remove files
        await cut.after_a_start()
    assert (cut.house.at(AT), cut.landed_files()) == (NEW, [])


async def test_a_file_of_a_removed_tenant_is_not_placed_at_a_later_one_of_its_name(cut: AcceptingHouse) -> None:
    def add_again() -> None:
        cut.house.stored.remove("acme")
        cut.house.stored.add("acme")
        (cut.house.files / AT).parent.mkdir()

    assert await cut.after_a_start(before=add_again) == []
    assert cut.house.at(AT) is None
