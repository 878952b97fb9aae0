"""A lost or damaged file of a tenant never replaces the good copy in a backup."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from importer.folder import TenantFolder
from server.backup.manifest import BackupUnusable
from server.backup.objects import Objects
from tests.support.backups import brought_back, content, manifest_of, saved
from tests.support.importing import people
from tests.support.queues import open_house
from tests.support.run_house import open_run_house
from tests.support.server_process import ServerProcess
from tests.support.writing import BYTES_STORED, by_hand

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")


async def wait_in_line(data: Path) -> None:
    """Let an import and a run wait."""
    async with open_house(data, "acme") as house:
        await house.upload(people("ann").decode())
    async with open_run_house(data, "acme") as runs:
        await runs.upload("of a run")


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder whose tenant has a key, a file, a waiting import and a waiting run."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    (source.files("acme").files / "own.txt").write_text("own")
    asyncio.run(wait_in_line(source.data))
    return source


def lose_folder(folder: TenantFolder) -> None:
    shutil.rmtree(folder.root)


def lose_files(folder: TenantFolder) -> None:
    shutil.rmtree(folder.files)


def lose_keys(folder: TenantFolder) -> None:
    folder.keys.unlink()


def empty_keys(folder: TenantFolder) -> None:
    folder.keys.write_text("")


def lose_copy(folder: TenantFolder) -> None:
    folder.copy(1).unlink()


def empty_copy(folder: TenantFolder) -> None:
    folder.copy(1).unlink()
    folder.copy(1).touch()


def lose_copy_of_run(folder: TenantFolder) -> None:
    folder.run_copy(1).unlink()


def empty_copy_of_run(folder: TenantFolder) -> None:
    folder.run_copy(1).unlink()
    folder.run_copy(1).touch()


def spoil_setting(folder: TenantFolder) -> None:
    by_hand(folder.users_db, "INSERT OR REPLACE INTO settings (key, value) VALUES ('delimiter', '7')")


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (lose_folder, ""),
        (lose_files, "files"),
        (lose_keys, "keys.json"),
        (empty_keys, "keys.json"),
        (lose_copy, "uploads/1.csv"),
        (empty_copy, "uploads/1.csv"),
        (lose_copy_of_run, "runs/1.file"),
        (empty_copy_of_run, "runs/1.file"),
        (spoil_setting, "users.db"),
    ],
)
def test_what_is_lost_never_replaces_the_good_copy(
    source: ServerProcess, backup: Path, tmp_path: Path, spoil: Callable[[TenantFolder], None], place: str
) -> None:
    saved(source.data, backup)
    good = content(source.data)
    spoil(source.files("acme"))
    for _ in range(2):
        ran = source.cli("backup", str(backup), check=False)
        assert ran.code == 1
        assert "the tenant acme was not backed up completely" in ran.err
        assert str(source.files("acme").root / place) in ran.err
    brought_back(backup, tmp_path / "second")
    assert content(tmp_path / "second") == good


def test_a_file_that_a_start_places_again_is_not_lost(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    lose_copy_of_run(source.files("acme"))
    by_hand(source.data / "headcount.db", BYTES_STORED)
    saved(source.data, backup)
    brought_back(backup, tmp_path / "second")


def test_a_backup_without_the_file_of_a_waiting_import_is_not_restored(
    source: ServerProcess, backup: Path, tmp_path: Path
) -> None:
    saved(source.data, backup)
    manifest = manifest_of(backup)
    entries = tuple(entry for entry in manifest.entries if not entry.path.endswith("uploads/1.csv"))
    Objects(backup).commit(dataclasses.replace(manifest, entries=entries))
    with pytest.raises(BackupUnusable, match="it has no file of import 1 of acme"):
        brought_back(backup, tmp_path / "second")
