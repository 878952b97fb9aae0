"""The doctor finds a used data folder well, and what is wrong with its disk and clock. It refuses other folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.doctor.examining import examine
from tests.support.backups import content
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.doctoring import diagnosed, is_well, obey, of_another_user, places
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")


def test_a_data_folder_that_a_server_used_is_well(server: ServerProcess) -> None:
    before = content(server.data)
    assert is_well(server)
    assert diagnosed(server) == []
    assert content(server.data) == before


def test_a_new_data_folder_is_well(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.add_tenant("acme")
    assert is_well(server)


def test_a_removed_tenant_and_a_restored_folder_are_well(server: ServerProcess, backup: Path) -> None:
    server.cli("tenant", "remove", "bolt", "--yes")
    assert is_well(server)
    server.env["HEADCOUNT_DATA_DIR"] = str(server.folder / "second")
    server.cli("restore", str(backup))
    assert server.cli("doctor").text == f"Found well: {server.folder / 'second'}\n"


@needs(TMPFS)
def test_a_full_disk_is_found_and_well_when_there_is_space(server: ServerProcess) -> None:
    data = server.data
    with small_disk(server.folder / "disk", 48) as disk:
        shutil.copytree(data, disk, dirs_exist_ok=True, symlinks=True)
        server.env["HEADCOUNT_DATA_DIR"] = str(disk)
        server.data = disk
        assert is_well(server)
        filler = fill(disk)
        (finding,) = diagnosed(server)
        assert (finding["severity"], finding["what"]) == ("error", "the disk of the server is full")
        filler.unlink()
        assert is_well(server)
    server.data = data


@needs(TMPFS)
def test_a_disk_with_little_space_is_found_and_well_when_there_is_more(server: ServerProcess) -> None:
    with small_disk(server.folder / "disk", 100) as disk:
        shutil.copytree(server.data, disk, dirs_exist_ok=True, symlinks=True)
        server.env["HEADCOUNT_DATA_DIR"] = str(disk)
        server.data = disk
        filler = server.data / "filler"
        free = os.statvfs(disk)
        filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 8 * 1024**2))
        assert places(server) == [(None, "", "warning")]
        assert "less than 10%" in diagnosed(server)[0]["what"]
        filler.unlink()
        assert is_well(server)


@needs(TMPFS)
def test_a_read_only_disk_is_found_and_well_when_it_can_be_written(server: ServerProcess) -> None:
    with small_disk(server.folder / "disk", 48) as disk:
        shutil.copytree(server.data, disk, dirs_exist_ok=True, symlinks=True)
        server.env["HEADCOUNT_DATA_DIR"] = str(disk)
        server.data = disk
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert places(server) == [(None, "", "error")]
        obey(server, diagnosed(server)[0]["do"].replace("(dmesg)", ""))
        assert is_well(server)


def test_a_clock_behind_the_data_is_found_and_well_when_set(server: ServerProcess) -> None:
    by_hand(server.data / "headcount.db", "UPDATE imports SET uploaded_at = '2099-01-01T00:00:00.000Z' WHERE id = 2")
    assert places(server) == [(None, "headcount.db", "warning")]
    assert "timedatectl" in diagnosed(server)[0]["do"]
    assert examine(server.data, lambda: datetime(2099, 1, 1, tzinfo=UTC)) == []


def test_a_clock_that_was_wrong_once_is_well_after_the_next_file(server: ServerProcess) -> None:
    by_hand(server.data / "headcount.db", "UPDATE imports SET uploaded_at = '2099-01-01T00:00:00.000Z' WHERE id = 1")
    assert is_well(server)


def test_an_unfinished_restore_is_found_and_well_when_it_has_ended(server: ServerProcess, backup: Path) -> None:
    shutil.rmtree(server.data)
    (server.data / ".restoring" / "tenants").mkdir(parents=True)
    server.data.chmod(0o700)
    (finding,) = diagnosed(server)
    assert (finding["file"], finding["severity"]) == (str(server.data), "error")
    obey(server, finding["do"], FOLDER=str(backup))
    assert is_well(server)


def test_each_finding_is_printed_with_what_to_do(server: ServerProcess) -> None:
    shutil.rmtree(server.files("bolt").root)
    (server.data / "tenants" / "Acme").mkdir()
    ran = server.cli("doctor", check=False)
    assert ran.code == 1
    lines = ran.text.splitlines()
    assert lines[0].startswith(f"Error of tenant bolt: The folder {server.files('bolt').root} is missing")
    assert lines[1].endswith(f": headcount --data-dir {server.data} tenant remove bolt --yes")
    assert lines[3].startswith("Warning: ")
    assert lines[-1] == f"Found 1 error and 1 warning in {server.data}"


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    for _ in range(2):
        ran = server.cli("doctor", check=False)
        assert ran.code == 1
        assert "has no Headcount data" in ran.err
        assert not server.data.exists() or list(server.data.iterdir()) == []
        server.data.mkdir(exist_ok=True)


@needs(TMPFS)
def test_the_data_of_another_user_is_refused_and_stays_as_it_is(server: ServerProcess) -> None:
    with of_another_user(server) as data:
        server.env["HEADCOUNT_DATA_DIR"] = str(data)
        before = sorted(data.rglob("*"))
        ran = server.cli("doctor", check=False)
        assert (ran.code, ran.out) == (1, b"")
        assert "belongs to the user #12345" in ran.err
        assert "sudo -u '#12345' headcount" in ran.err
        assert sorted(data.rglob("*")) == before
