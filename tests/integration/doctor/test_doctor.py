"""The doctor finds each thing that can be wrong with a data folder; after what it says is done, all is well."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.doctor.examining import examine
from server.doctor.findings import Finding, Severity
from tests.integration.test_versions import FIXTURES
from tests.support.backups import content, saved
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.doctoring import diagnosed, is_well, obey, restore_part
from tests.support.importing import people
from tests.support.run_house import open_run_house
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

TWO = ("acme", "bolt")
OTHER = 12345
"""A user of the system that is not root."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has used: acme has an applied import and a queued one."""
    server = ServerProcess(tmp_path_factory.mktemp("made"))
    with server:
        for name in TWO:
            server.add_tenant(name, deactivate_missing="true")
        server.put("acme", people("ann", "bob"))
        assert server.wait("acme")["state"] == "completed"
        server.cli("tenant", "set", "acme", f"paused_until={datetime.now(UTC).year + 1}-01-02T00:00:00Z")
        server.put("acme", people("ann", "bob", "cy"))
        assert server.stop() == 0
    return server.folder


@pytest.fixture
def server(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    """A server on a copy of that folder; it does not run."""
    monkeypatch.setattr("server.doctor.examining.AGAIN_S", 0.0)
    shutil.copytree(made / "data", tmp_path / "data", symlinks=True)
    for key in made.glob("*.key*"):
        shutil.copy(key, tmp_path)
    server = ServerProcess(tmp_path)
    yield server
    server.end()


@pytest.fixture
def backup(server: ServerProcess, tmp_path: Path) -> Path:
    saved(server.data, tmp_path / "backup")
    return tmp_path / "backup"


def places(server: ServerProcess) -> list[tuple[str | None, str, str]]:
    """Return the tenant, the path in the data folder and the severity of each finding."""
    root = str(server.data)
    return [
        (each["tenant"], each["file"].removeprefix(root).removeprefix("/"), each["severity"])
        for each in diagnosed(server)
    ]


# All is well


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


# Databases


def _users(server: ServerProcess) -> Path:
    return server.files("acme").users_db


def _without(database: Path) -> Path:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    return database


def missing(database: Path) -> None:
    _without(database)


def empty(database: Path) -> None:
    _without(database).touch()


def garbage(database: Path) -> None:
    _without(database).write_bytes(b"not a database" * 1000)


def a_folder(database: Path) -> None:
    _without(database).mkdir()


def a_wrong_index(database: Path) -> None:
    """Let an index miss a row: only a complete check finds it."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        table = "users" if database.name == "users.db" else "imports"
        page = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? LIMIT 1", (table,)
        ).fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with database.open("r+b") as file:
        file.seek((page - 1) * size + 3)
        file.write(b"\0\0")  # the number of entries in this page


def a_dangling_row(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        if database.name == "users.db":
            db.execute("UPDATE users SET primary_team_id = 4711")
        else:
            db.execute("UPDATE imports SET tenant = 'gone' WHERE id = 2")


@pytest.mark.parametrize("hurt", [missing, empty, garbage, a_folder, a_wrong_index, a_dangling_row])
def test_an_unusable_users_db_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, hurt: Callable[[Path], None]
) -> None:
    hurt(_users(server))
    assert places(server) == [("acme", "tenants/acme/users.db", "error")]
    (finding,) = diagnosed(server)
    assert "from a backup" in finding["do"]
    restore_part(server, backup, "tenants/acme/users.db")
    assert is_well(server)


@pytest.mark.parametrize("hurt", [missing, empty, garbage, a_wrong_index, a_dangling_row])
def test_an_unusable_headcount_db_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, hurt: Callable[[Path], None]
) -> None:
    hurt(server.data / "headcount.db")
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["severity"]) == (None, "error")
    assert "headcount.db" in finding["what"]
    assert "headcount.db" in finding["do"] or "Stop the server" in finding["do"]
    restore_part(server, backup, "headcount.db")
    assert is_well(server)


@pytest.mark.parametrize("name", ["headcount.db", "tenants/acme/users.db"])
def test_a_database_of_a_newer_headcount_is_found_and_well_after_the_upgrade(
    server: ServerProcess, name: str
) -> None:
    database = server.data / name
    with closing(sqlite3.connect(database)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
    by_hand(database, "PRAGMA user_version = 99")
    (finding,) = diagnosed(server)
    assert finding["file"] == str(database)
    assert finding["do"].endswith("pgrade Headcount")
    by_hand(database, f"PRAGMA user_version = {version}")
    assert is_well(server)


def test_a_database_of_an_older_headcount_is_a_notice_until_the_server_was_started(server: ServerProcess) -> None:
    with closing(sqlite3.connect(_without(server.files("bolt").users_db))) as db:
        db.executescript((FIXTURES / "tenant-003.sql").read_text(encoding="utf-8"))
    by_hand(server.files("bolt").users_db, "PRAGMA journal_mode=WAL")
    by_hand(server.data / "headcount.db", "UPDATE tenants SET last_import_id = 100 WHERE name = 'bolt'")
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["severity"]) == ("bolt", "notice")
    assert finding["do"].endswith(": headcount serve")
    server.start()
    assert is_well(server)


def test_a_damaged_search_index_is_found_and_well_when_removed(server: ServerProcess) -> None:
    server.files("acme").search_db.write_bytes(b"not a database" * 1000)
    assert places(server) == [("acme", "tenants/acme/search.db", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


# Tenants


def test_a_missing_folder_is_found_and_well_when_the_tenant_is_removed(server: ServerProcess) -> None:
    shutil.rmtree(server.files("bolt").root)
    assert places(server) == [("bolt", "tenants/bolt", "error")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


def test_a_lost_key_ring_is_found_and_well_when_keys_are_added(server: ServerProcess) -> None:
    server.files("bolt").keys.unlink()
    assert places(server) == [("bolt", "tenants/bolt/keys.json", "error")]
    obey(server, diagnosed(server)[0]["do"], FILE=str(server.private_key("bolt").with_suffix(".pub")))
    assert is_well(server)


def test_a_damaged_key_ring_is_found_and_well_when_restored(server: ServerProcess, backup: Path) -> None:
    server.files("bolt").keys.write_text("{ no ring")
    assert places(server) == [("bolt", "tenants/bolt/keys.json", "error")]
    restore_part(server, backup, "tenants/bolt/keys.json")
    assert is_well(server)


def test_a_folder_of_no_tenant_is_found_and_well_when_it_is_added(server: ServerProcess) -> None:
    shutil.copytree(server.files("bolt").root, server.data / "tenants" / "copied")
    assert places(server) == [("copied", "tenants/copied", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


def test_what_is_not_a_folder_of_a_tenant_is_found_and_well_when_moved(server: ServerProcess) -> None:
    (server.data / "tenants" / "my notes.txt").write_text("x")
    (server.data / "tenants" / "Acme").mkdir()
    assert {file for _, file, _ in places(server)} == {"tenants/my notes.txt", "tenants/Acme"}
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)


# Files of imports and runs


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_file_of_a_waiting_import_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, content: bytes | None
) -> None:
    copy = server.files("acme").copy(2)
    copy.unlink()
    if content is not None:
        copy.write_bytes(content)
    assert places(server) == [("acme", "tenants/acme/uploads/2.csv", "error")]
    restore_part(server, backup, "tenants/acme/uploads/2.csv")
    assert is_well(server)


async def test_a_missing_file_of_a_waiting_run_is_found_and_well_when_it_is_there(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.add_tenant("acme")
    async with open_run_house(server.data) as house:
        run = await house.upload()
    copy = server.files("acme").run_copy(run.id)
    assert is_well(server)
    copy.unlink()
    assert places(server) == [("acme", f"tenants/acme/runs/{run.id}.file", "error")]
    copy.write_text("x\n")
    assert is_well(server)


def test_files_without_an_import_or_run_are_found_and_well_when_removed(server: ServerProcess) -> None:
    by_hand(
        server.data / "headcount.db", "UPDATE tenants SET last_import_id = 9, last_run_id = 9 WHERE name = 'acme'"
    )
    folder = server.files("acme")
    folder.copy(7).write_text("x")
    folder.said(8).write_text("{}\n")
    folder.run_copy(9).write_text("x")
    folder.run_reports(9).mkdir()
    assert places(server) == [
        ("acme", "tenants/acme/messages/8.jsonl", "warning"),
        ("acme", "tenants/acme/runs/9.file", "warning"),
        ("acme", "tenants/acme/uploads/7.csv", "warning"),
    ]
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)
    assert folder.copy(1).exists()


def test_a_headcount_db_older_than_its_tenants_is_found_and_well_at_the_end(
    server: ServerProcess, backup: Path
) -> None:
    server.cli("tenant", "set", "acme", "paused_until=")
    with server:
        assert server.wait("acme", 2)["state"] == "completed"
        server.put("acme", people("ann", "bob", "cy", "dee"))
        assert server.wait("acme", 3)["state"] == "completed"
        users = server.users("acme")
        server.stop()
    restore_part(server, backup, "headcount.db")
    assert ("acme", "tenants/acme", "error") in places(server)
    for _ in range(3):  # the second time, the files of the imports that the tenant had are left
        for each in diagnosed(server):
            obey(server, each["do"])
    assert is_well(server)
    with server:
        assert server.users("acme") == users
        server.put("acme", people("ann", "bob", "cy", "dee", "eve"))
        assert server.wait("acme")["counts"]["created"] == 1
        assert server.report("acme")["id"] > 3
        assert is_well(server)


# Owners, modes and links


@pytest.mark.parametrize("place", ["tenants/acme", "tenants/acme/users.db", "headcount.db", "host_keys"])
@needs(TMPFS)
def test_another_owner_is_found_and_well_when_changed(server: ServerProcess, place: str) -> None:
    os.chown(server.data / place, OTHER, -1)
    assert [file for _, file, _ in places(server)] == [place]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


@contextmanager
def of_another_user(server: ServerProcess) -> Iterator[Path]:
    """Yield a copy of the data folder that belongs to OTHER, where that user can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        data = Path(folder) / "data"
        shutil.copytree(server.data, data, symlinks=True)
        for place, _, names in os.walk(data):
            for path in (place, *(os.path.join(place, name) for name in names)):
                os.chown(path, OTHER, -1)
        yield data


def examined_by_other(data: Path) -> list[Finding]:
    examine(data)  # all modules are imported now, which the other user perhaps cannot read
    os.seteuid(OTHER)
    try:
        return examine(data)
    finally:
        os.seteuid(0)


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
    assert diagnosed(server)[0]["do"].endswith(": headcount serve")
    restore_part(server, backup, "host_keys")
    assert is_well(server)
    shutil.rmtree(server.data / "host_keys")
    server.start()
    assert is_well(server)


def test_a_link_in_the_place_of_a_folder_is_found_and_well_when_replaced(server: ServerProcess) -> None:
    away = server.folder / "big disk"
    server.files("acme").root.rename(away)
    server.files("acme").root.symlink_to(away)
    assert places(server) == [("acme", "tenants/acme", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)
    assert away.is_dir()


def test_links_and_pipes_among_files_are_found_and_well_when_removed(server: ServerProcess) -> None:
    files = server.files("acme").files
    (files / "a link").symlink_to("/etc/passwd")
    os.mkfifo(files / "pipe")
    assert {file for _, file, _ in places(server)} == {"tenants/acme/files/a link", "tenants/acme/files/pipe"}
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)


# Disk and clock


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


def test_a_clock_behind_the_data_is_found_and_well_when_set(server: ServerProcess) -> None:
    by_hand(server.data / "headcount.db", "UPDATE imports SET uploaded_at = '2099-01-01T00:00:00.000Z' WHERE id = 2")
    assert places(server) == [(None, "headcount.db", "warning")]
    assert "timedatectl" in diagnosed(server)[0]["do"]
    assert examine(server.data, lambda: datetime(2099, 1, 1, tzinfo=UTC)) == []


# The command


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
    assert lines[1].endswith(": headcount tenant remove bolt --yes")
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
def test_a_data_folder_of_another_user_is_refused(server: ServerProcess) -> None:
    os.chown(server.data, OTHER, -1)
    ran = server.cli("doctor", check=False)
    assert (ran.code, ran.out) == (1, b"")
    assert "belongs to the user #12345" in ran.err
