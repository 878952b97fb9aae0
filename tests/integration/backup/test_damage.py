"""A backup replaces what is damaged in FOLDER, and a restore can leave it out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.backup.manifest import Entry
from tests.support.backups import brought_back, content, manifest_of, rest, saved
from tests.support.server_process import ServerProcess

NOTE = "tenants/acme/files/note.txt"


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder with two tenants, without a server, whose files have rested."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    source.add_tenant("bolt")
    (source.data / NOTE).write_text("hello")
    rest(source.data)
    return source


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The data folder to restore into."""
    return tmp_path / "second"


def entry_of(backup: Path, path: str) -> Entry:
    return next(entry for entry in manifest_of(backup).entries if entry.path == path)


def object_of(backup: Path, path: str) -> Path:
    sha256 = entry_of(backup, path).sha256
    assert sha256
    return backup / "objects" / sha256[:2] / sha256


def damage(file: Path) -> None:
    """Flip a bit of the last byte."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_file_that_is_read_again_replaces_its_damaged_copy(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    saved(source.data, backup)
    damage(object_of(backup, NOTE))
    os.utime(source.data / NOTE)
    assert saved(source.data, backup).added == 1
    brought_back(backup, second)
    assert (second / NOTE).read_text() == "hello"


def test_what_a_killed_backup_left_is_not_used(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    """It may not be on disk: only `commit` flushes it."""
    saved(source.data, backup)
    (backup / "manifest.json").unlink()  # as if killed just before the manifest was written
    left = tmp_path / "left"
    left.mkdir()
    for path in (backup / "objects").rglob("*/*"):
        os.link(path, left / path.name)
    (source.data / NOTE).write_text("hello again")
    taken = saved(source.data, backup)
    assert taken.added == len(manifest_of(backup).objects())
    found = {path.stat().st_ino for path in (backup / "objects").rglob("*/*")}
    assert not found & {path.stat().st_ino for path in left.iterdir()}


@pytest.mark.parametrize("path", [NOTE, "tenants/acme/users.db", "headcount.db"])
def test_a_verified_backup_replaces_what_is_damaged_or_missing(
    source: ServerProcess, backup: Path, second: Path, path: str
) -> None:
    saved(source.data, backup)
    damage(object_of(backup, path))
    object_of(backup, "tenants/bolt/users.db").unlink()
    ran = source.cli("backup", "--verify", str(backup), check=False)
    assert ran.code == 1
    assert f"2 files were damaged or missing in {backup}" in ran.err
    ran = source.cli("backup", "--verify", str(backup), "--json")
    assert (ran.json["damaged"], ran.json["lost"], ran.err) == (0, [], "")
    brought_back(backup, second)
    assert content(second) == content(source.data)


def test_a_damaged_copy_that_cannot_be_replaced_is_named_and_kept(source: ServerProcess, backup: Path) -> None:
    saved(source.data, backup)
    users = "tenants/acme/users.db"
    damage(object_of(backup, users))
    damaged = object_of(backup, users).read_bytes()
    (source.data / users).write_bytes(b"not a database")
    ran = source.cli("backup", "--verify", str(backup), "--json", check=False)
    assert (ran.code, ran.json["damaged"], ran.json["lost"], list(ran.json["broken"])) == (1, 1, [users], ["acme"])
    assert f"the copy of {users} in {backup} is damaged" in ran.err
    assert object_of(backup, users).read_bytes() == damaged
