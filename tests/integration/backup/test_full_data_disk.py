"""A full data disk, or one that became read-only, is just when a backup is wanted: it is made without any space."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.sqlite import backup as engine_backup
from engine.sqlite.backup import View, check, still
from importer.errors import DatabaseUnusable, TryAgain
from tests.support.backups import brought_back, content, saved
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = [pytest.mark.only_on("sqlite", "Headcount backs up no other engine"), needs(TMPFS)]


@pytest.fixture(params=[True, False], ids=["has backup", "first"])
def source(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A data folder on a small disk, with or without a backup, whose tenants have changed since."""
    monkeypatch.setattr(engine_backup, "UNSETTLED_S", -1e9)
    with small_disk(tmp_path / "disk", 8) as disk:
        source = ServerProcess(disk)
        for name in ("acme", "bolt"):
            source.add_tenant(name)
        if request.param:
            saved(source.data, tmp_path / "backup")
        by_hand(source.files("acme").users_db, "CREATE TABLE later (x)")
        yield source


def leave(data: Path) -> None:
    """Leave nothing beside the databases, as processes do that have written them."""
    for database in (data / "headcount.db", *data.glob("tenants/*/users.db")):
        by_hand(database, "SELECT count(*) FROM sqlite_schema")
    assert not [*data.rglob("*.db-*")]


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@pytest.mark.parametrize("spoil", [fill, make_read_only])
def test_a_stopped_server_with_a_full_disk_is_backed_up(
    source: ServerProcess, backup: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    good = content(source.data)
    leave(source.data)
    spoil(source.folder)
    ran = source.cli("backup", str(backup), "--json")
    assert (ran.json["broken"], ran.json["skipped"]) == ({}, {})
    brought_back(backup, tmp_path / "second")
    assert content(tmp_path / "second") == good


def test_a_running_server_with_a_full_disk_is_backed_up(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    good = content(source.data)
    leave(source.data)
    with closing(sqlite3.connect(source.data / "headcount.db")) as running:
        running.execute("SELECT count(*) FROM tenants").fetchone()
        fill(source.folder)
        assert not saved(source.data, backup).manifest.broken
    brought_back(backup, tmp_path / "second")
    assert content(tmp_path / "second") == good


def test_a_database_that_is_written_without_a_lock_is_not_copied(source: ServerProcess, tmp_path: Path) -> None:
    leave(source.data)
    filler = fill(source.folder)
    with still(source.data / "headcount.db") as view:
        assert view.rests
        filler.unlink()
        by_hand(source.data / "headcount.db", "CREATE TABLE later (x)")
        with closing(view), pytest.raises(DatabaseUnusable, match="was changed while it was copied"):
            view.copy(tmp_path / "copy")


def test_a_database_with_a_log_is_never_read_without_it(source: ServerProcess) -> None:
    users = source.files("acme").users_db
    with closing(sqlite3.connect(users, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE newest (x)")
        os.link(users, users.with_name("users.copy"))
        os.link(users.with_name("users.db-wal"), users.with_name("users.copy-wal"))
        fill(source.folder)
        with suppress(TryAgain), closing(View(users.with_name("users.copy"), "tenant")) as view:
            assert view.fetch("SELECT * FROM newest") == []


def test_a_copy_that_cannot_be_opened_for_want_of_descriptors_is_not_damaged(tmp_path: Path) -> None:
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    with still(source.data / "headcount.db") as view:
        view.copy(tmp_path / "copy")
    check(tmp_path / "copy", "server")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(TryAgain):
            check(tmp_path / "copy", "server")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check(tmp_path / "copy", "server")
