"""A backup replaces what is damaged in FOLDER, and a restore can leave it out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ground.moments import utc_now
from server.backup.manifest import Entry
from server.backup.taking import back_up
from server.tenants.sending import MARK
from tests.support.backups import brought_back, content, manifest_of, rest, saved
from tests.support.cli import Ran
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

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


def restored_by(source: ServerProcess, backup: Path, second: Path, *options: str) -> Ran:
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    return source.cli("restore", *options, str(backup), check=False)


def test_a_restore_without_damaged_files_lists_them_and_restores_the_rest(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    os.link(source.data / NOTE, source.data / "tenants/acme/files/again.txt")
    saved(source.data, backup)
    users = "tenants/acme/users.db"
    damage(object_of(backup, NOTE))
    object_of(backup, users).unlink()
    ran = restored_by(source, backup, second)
    assert (ran.code, "use --without-damaged" in ran.err) == (1, True)
    assert os.listdir(second) == ["headcount.lock"]
    damaged = ["tenants/acme/files/again.txt", NOTE, users]
    ran = restored_by(source, backup, second, "--without-damaged", "--json")
    assert (ran.code, ran.json["damaged"]) == (1, damaged)
    assert all(f"{path} was not restored" in ran.err for path in damaged)
    expected = content(source.data)
    assert content(second) == {path: each for path, each in expected.items() if path not in damaged}
    found = {each["name"]: each["broken"] for each in source.cli("tenant", "list", "--json").json}
    assert found["acme"]
    assert found["bolt"] is None


def test_a_database_that_was_damaged_before_its_copy_can_be_left_out(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    users = source.data / "tenants/acme/users.db"
    by_hand(users, "CREATE TABLE much (x, y)", "CREATE INDEX by_x ON much (x)", "CREATE INDEX by_y ON much (y)")
    by_hand(
        users,
        "INSERT INTO much VALUES (1, 2), (3, 4)",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema WHERE name IN ('by_x', 'by_y'))"
        " - rootpage WHERE name IN ('by_x', 'by_y')",
    )
    saved(source.data, backup)
    ran = restored_by(source, backup, second)
    assert (ran.code, "cannot be used" in ran.err) == (1, True)
    ran = restored_by(source, backup, second, "--without-damaged", "--json")
    assert (ran.code, ran.json["damaged"]) == (1, ["tenants/acme/users.db"])


def test_nothing_is_restored_without_headcount_db(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    damage(object_of(backup, "headcount.db"))
    ran = restored_by(source, backup, second, "--without-damaged")
    assert (ran.code, "headcount.db does not match its checksum" in ran.err) == (1, True)
    assert os.listdir(second) == ["headcount.lock"]


def test_sending_stays_off_if_its_mark_is_damaged_or_was_not_readable(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    source.cli("notify", "off")
    saved(source.data, backup)
    damage(object_of(backup, MARK))
    ran = restored_by(source, backup, second, "--without-damaged", "--json")
    assert (ran.code, ran.json["damaged"], ran.json["sending"]) == (1, [MARK], "off")
    (source.data / MARK).unlink()
    (source.data / MARK).symlink_to("elsewhere")
    taken = back_up(source.data, backup.with_name("other"), utc_now(), replace=True)
    assert list(taken.manifest.skipped) == [MARK]
    assert brought_back(backup.with_name("other"), second.with_name("third")).sending_off
