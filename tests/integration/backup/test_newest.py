"""The data folder knows when its newest complete backup began; no backup and no restored folder has that mark."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ground.moments import utc_now
from server.backup.newest import newest_backup, note_newest
from server.backup.selecting import NEWEST
from server.backup.taking import back_up
from tests.support.backups import brought_back, manifest_of
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

FIRST, SECOND = (datetime(2026, 3, day, 2, 30, tzinfo=UTC) for day in (1, 2))


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    return source


def test_a_data_folder_knows_when_its_newest_complete_backup_began(source: ServerProcess, backup: Path) -> None:
    assert newest_backup(source.data) == 0
    back_up(source.data, backup, FIRST)
    assert newest_backup(source.data) == FIRST.timestamp()
    back_up(source.data, backup, SECOND)
    assert newest_backup(source.data) == SECOND.timestamp()


def test_a_backup_that_ends_after_a_later_one_does_not_hide_it(tmp_path: Path) -> None:
    note_newest(tmp_path, SECOND)
    note_newest(tmp_path, FIRST)
    assert newest_backup(tmp_path) == SECOND.timestamp()


def test_a_mark_of_the_future_is_replaced(tmp_path: Path) -> None:
    note_newest(tmp_path, utc_now() + timedelta(days=1))
    note_newest(tmp_path, FIRST)
    assert newest_backup(tmp_path) == FIRST.timestamp()


def test_a_backup_that_lacks_something_is_not_the_newest_complete_one(source: ServerProcess, backup: Path) -> None:
    back_up(source.data, backup, FIRST)
    source.files("acme").users_db.unlink()
    assert back_up(source.data, backup, SECOND).manifest.broken
    assert newest_backup(source.data) == FIRST.timestamp()


def test_a_restored_data_folder_has_no_newest_backup(source: ServerProcess, backup: Path, second: Path) -> None:
    back_up(source.data, backup, FIRST)
    back_up(source.data, backup, SECOND)
    assert NEWEST not in {entry.path for entry in manifest_of(backup).entries}
    brought_back(backup, second)
    assert newest_backup(second) == 0


@needs(TMPFS)
def test_a_full_data_disk_knows_its_newest_backup(tmp_path: Path, backup: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        source = ServerProcess(disk)
        source.add_tenant("acme")
        back_up(source.data, backup, FIRST)
        fill(disk)
        assert back_up(source.data, backup, SECOND).unnoted is None
        assert newest_backup(source.data) == SECOND.timestamp()


def test_a_backup_that_cannot_be_noted_says_so_and_is_complete(source: ServerProcess, backup: Path) -> None:
    (source.data / NEWEST).mkdir()
    ran = source.cli("backup", str(backup))
    assert f"Warning: the backup is complete, but the metrics show an older one: {source.data} " in ran.warned
    assert newest_backup(source.data) == 0


@pytest.mark.parametrize("content", [b"", b"2026-03", b"\xff\0", b"a" * 30])
def test_a_damaged_mark_counts_as_none_until_the_next_backup(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NEWEST).write_bytes(content)
    assert newest_backup(tmp_path) == 0
    assert note_newest(tmp_path, FIRST) is None
    assert newest_backup(tmp_path) == FIRST.timestamp()


def test_no_other_user_can_read_the_mark(source: ServerProcess, backup: Path) -> None:
    back_up(source.data, backup, FIRST)
    assert os.stat(source.data / NEWEST).st_mode & 0o077 == 0
