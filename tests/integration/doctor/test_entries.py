"""The doctor finds wrong owners, modes, links and host keys; after what it says is done, all is well."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server.doctor.examining import examine
from server.doctor.findings import Finding, Severity
from tests.support.backups import content, rows
from tests.support.clients import TMPFS, needs
from tests.support.doctoring import OTHER, diagnosed, is_well, obey, of_another_user, places, restore_part
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")


@pytest.mark.parametrize(
    "place",
    [
        "tenants/acme",
        "tenants/acme/users.db",
        "headcount.db",
        "host_keys",
        "backup.id",
        "backup.newest",
        "sending-off",
    ],
)
@needs(TMPFS)
def test_another_owner_is_found_and_well_when_changed(server: ServerProcess, backup: Path, place: str) -> None:
    server.cli("notify", "off")
    os.chown(server.data / place, OTHER, -1)
    assert [file for _, file, _ in places(server)] == [place]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


@needs(TMPFS)
def test_the_root_of_a_disk_may_belong_to_another_user(server: ServerProcess) -> None:
    with of_another_user(server) as data:
        os.chown(data, 0, OTHER)
        data.chmod(0o770)
        assert examined_by_other(data, OTHER) == []
        data.chmod(0o750)
        (finding,) = examined_by_other(data, OTHER)
        assert (finding.file, finding.severity) == (str(data), Severity.ERROR)
        obey(server, finding.do)
        assert examined_by_other(data, OTHER) == []
        assert (data.stat().st_uid, server.data.stat().st_uid) == (OTHER, 0)


@pytest.mark.parametrize(("owner", "mode"), [(0, 0o700), (OTHER, 0)])
@needs(TMPFS)
def test_folders_that_cannot_be_entered_are_not_called_missing(server: ServerProcess, owner: int, mode: int) -> None:
    """The advice about a missing folder removes the tenant."""
    with of_another_user(server) as data:
        os.chown(data / "tenants", owner, -1)
        (data / "tenants").chmod(mode)
        (finding,) = examined_by_other(data)
        assert (finding.tenant, finding.file, finding.severity) == (None, str(data / "tenants"), Severity.ERROR)
        obey(server, finding.do)
        assert examined_by_other(data) == []


@needs(TMPFS)
def test_a_data_folder_that_its_owner_cannot_write_is_found_and_well_when_it_can(server: ServerProcess) -> None:
    with of_another_user(server) as data:
        data.chmod(0o511)
        (finding,) = examined_by_other(data)
        assert (finding.file, finding.severity) == (str(data), Severity.ERROR)
        obey(server, finding.do)
        assert examined_by_other(data) == []


def test_others_who_can_write_to_the_data_folder_are_found_and_well_when_they_cannot(server: ServerProcess) -> None:
    server.data.chmod(0o777)
    assert places(server) == [(None, "", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)
    assert server.data.stat().st_mode & 0o777 == 0o755


@needs(TMPFS)
def test_a_settings_file_keeps_its_owner(server: ServerProcess) -> None:
    (server.data / "headcount.toml").touch()
    os.chown(server.data / "headcount.toml", OTHER, -1)
    assert is_well(server)
    os.chown(server.data / "headcount.db", OTHER, -1)
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)
    assert (server.data / "headcount.toml").stat().st_uid == OTHER


def examined_by_other(data: Path, group: int = 0) -> list[Finding]:
    examine(data)  # all modules are imported now, which the other user perhaps cannot read
    os.setegid(group)
    os.seteuid(OTHER)
    try:
        return examine(data)
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.parametrize("owner", [OTHER, 0])
@pytest.mark.parametrize("place", ["headcount.db", "tenants/acme/users.db", "tenants/acme/files", "tenants/acme"])
@needs(TMPFS)
def test_what_the_owner_cannot_use_is_found_and_well_with_access(
    server: ServerProcess, place: str, owner: int
) -> None:
    with of_another_user(server) as data:
        assert examined_by_other(data) == []
        (data / place).chmod(0o500 if (data / place).is_dir() else 0o400)
        os.chown(data / place, owner, -1)
        (finding,) = examined_by_other(data)
        assert (finding.file, finding.severity) == (str(data / place), Severity.ERROR)
        for _ in range(2):  # the owner, then the mode
            for each in examined_by_other(data):
                obey(server, each.do)
        assert examined_by_other(data) == []
        assert (data / place).stat().st_uid == OTHER


@pytest.mark.parametrize("place", ["tenants", "tenants/acme/keys.json", "headcount.db"])
def test_access_of_other_users_is_found_and_well_when_ended(server: ServerProcess, place: str) -> None:
    for path in (server.data, server.data / "tenants", server.files("acme").root):
        path.chmod(0o700)
    (server.data / place).chmod(0o755)
    assert is_well(server)
    for path in (server.data, *(server.data / parent for parent in list(Path(place).parents)[:-1])):
        path.chmod(0o711)
    for _ in range(2):  # SQLite makes further files beside a database, with its mode
        findings = diagnosed(server)
        assert all(each["severity"] == "warning" and "other users" in each["what"] for each in findings)
        for each in findings:
            obey(server, each["do"])
    assert is_well(server)
    assert not (server.data / place).stat().st_mode & 0o077


def test_a_host_key_that_others_can_read_is_found_and_well_when_they_cannot(server: ServerProcess) -> None:
    (server.data / "host_keys" / "ssh_host_ed25519_key").chmod(0o644)
    assert places(server) == [(None, "host_keys/ssh_host_ed25519_key", "error")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


def test_lost_host_keys_are_found_and_well_when_restored_or_made(server: ServerProcess, backup: Path) -> None:
    shutil.rmtree(server.data / "host_keys")
    assert places(server) == [(None, "host_keys", "warning")]
    assert diagnosed(server)[0]["do"].endswith(f": headcount --data-dir {server.data} serve")
    restore_part(server, backup, "host_keys")
    assert is_well(server)
    shutil.rmtree(server.data / "host_keys")
    server.start()
    wait_until(lambda: is_well(server), what="the work of the start")


def test_a_lost_ed25519_key_is_found_and_well_when_restored(server: ServerProcess, backup: Path) -> None:
    (server.data / "host_keys" / "ssh_host_ed25519_key").unlink()
    assert places(server) == [(None, "host_keys/ssh_host_ed25519_key", "warning")]
    restore_part(server, backup, "host_keys/ssh_host_ed25519_key")
    assert is_well(server)


def test_a_link_in_the_place_of_a_folder_is_found_and_well_when_replaced(server: ServerProcess) -> None:
    away = server.folder / "big disk"
    server.files("acme").root.rename(away)
    server.files("acme").root.symlink_to(away)
    assert places(server) == [("acme", "tenants/acme", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)
    assert away.is_dir()


@pytest.mark.parametrize("place", ["tenants/acme/users.db", "headcount.db"])
def test_a_link_in_the_place_of_a_database_is_replaced_with_all_that_was_written(
    server: ServerProcess, place: str
) -> None:
    database, away = server.data / place, server.folder / "away.db"
    _make_link(database, away)
    with server:
        server.cli("tenant", "set", "acme", "paused_until=")
        assert server.wait("acme", 2)["state"] == "completed"
        findings = wait_until(lambda: len(found := diagnosed(server)) == 1 and found, what="the end of its work")
        assert findings
        (finding,) = findings
        assert (finding["file"], finding["severity"]) == (str(database), "warning")
        server.kill()
    before = _write_and_die(away)
    assert away.with_name("away.db-wal").stat().st_size > 0
    obey(server, finding["do"])
    assert not database.is_symlink()
    assert rows(database) == before
    with server:
        assert len(server.users("acme")) == 3
        assert server.report("acme")["state"] == "completed"
        wait_until(lambda: is_well(server), what="the work of the start")


def _write_and_die(database: Path) -> dict[str, list[Any]]:
    """Let a process that is killed write to the database; return the rows of this afterwards."""
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "db.execute('UPDATE ' + sys.argv[2]); os._exit(0)"
    )
    change = (
        "tenants SET last_run_id = 7" if "last_run_id" in _schema_of(database) else "meta SET revision = revision + 1"
    )
    subprocess.run([sys.executable, "-c", code, str(database), change], check=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "x.db"
        for end in ("", "-wal"):
            shutil.copy(f"{database}{end}", f"{copy}{end}")
        return rows(copy)


def _schema_of(database: Path) -> str:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return " ".join(sql for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"))


def _make_link(place: Path, away: Path) -> None:
    place.rename(away)
    place.symlink_to(away)


def test_a_link_in_the_place_of_a_clients_folder_is_not_removed(server: ServerProcess) -> None:
    files, away = server.files("acme").files, server.folder / "away"
    _make_link(files, away)
    before = content(away)
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["file"], finding["severity"]) == ("acme", str(files), "error")
    obey(server, finding["do"])
    assert is_well(server)
    assert not files.is_symlink()
    assert content(files) == before


def test_a_link_to_a_disk_that_is_not_mounted_stays(server: ServerProcess) -> None:
    root, away, unmounted = server.files("acme").root, server.folder / "disk", server.folder / "unmounted"
    _make_link(root, away)
    away.rename(unmounted)
    findings = diagnosed(server)
    assert ("acme", str(root), "warning") in [(each["tenant"], each["file"], each["severity"]) for each in findings]
    for each in findings:
        assert "rm " not in each["do"]
        assert "mv " not in each["do"]
    unmounted.rename(away)
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)
    assert not root.is_symlink()


def test_a_copy_in_the_place_of_a_link_that_cannot_be_made_keeps_the_link(server: ServerProcess) -> None:
    root, away = server.files("acme").root, server.folder / "disk"
    _make_link(root, away)
    (finding,) = diagnosed(server)
    away.rename(server.folder / "unmounted")
    with pytest.raises(AssertionError, match="cp: "):
        obey(server, finding["do"])
    assert root.is_symlink()


def test_links_and_pipes_among_files_are_found_and_well_when_removed(server: ServerProcess) -> None:
    files = server.files("acme").files
    (files / "a link").symlink_to("/etc/passwd")
    os.mkfifo(files / "pipe")
    assert {file for _, file, _ in places(server)} == {"tenants/acme/files/a link", "tenants/acme/files/pipe"}
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)
