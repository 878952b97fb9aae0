"""A backup has all that a data folder is, takes only what is new, and never replaces a whole one by half of one."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.backup.manifest import BackupUnusable
from server.backup.objects import locked
from server.backup.selecting import NEWEST
from server.tenants.sending import MARK, is_off_in
from server.tenants.tenants import open_tenants
from tests.support.backups import brought_back, content, manifest_of, rest, rows, saved
from tests.support.cli import Ran
from tests.support.clients import TMPFS, needs
from tests.support.disks import fill, small_disk
from tests.support.importing import people
from tests.support.queues import open_house
from tests.support.run_house import open_run_house
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder with two tenants, without a server."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme", deactivate_missing="true")
    source.add_tenant("bolt")
    return source


def restored_by(source: ServerProcess, backup: Path, second: Path, *options: str) -> Ran:
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    return source.cli("restore", str(backup), *options, check=False)


async def test_a_restored_data_folder_has_all_that_the_source_had(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    source.cli("token", "create", "acme", "--role", "owner")
    source.cli("tenant", "add", "gone")
    source.cli("tenant", "remove", "gone", "--yes")
    (source.data / "host_keys").mkdir(mode=0o700)
    (source.data / "host_keys" / "ssh_host_ed25519_key").write_text("secret")
    (source.data / "hooks.toml").write_text("# of the operator")
    folder = source.files("acme")
    (folder.files / "inbox").mkdir()
    (folder.files / "inbox" / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    folder.webhook_secret.write_text("whsec_x")
    folder.paused.touch()
    async with open_house(source.data, "acme") as house:
        await house.upload(people("ann").decode())
    (folder.messages / "1.jsonl").write_text("{}\n")
    source.cli("backup", str(backup))
    assert restored_by(source, backup, second).code == 0
    assert content(second) == content(source.data)
    assert not any(name.startswith(("headcount.reserve", ".")) for name in os.listdir(second))


def test_no_other_user_can_read_a_backup_or_its_restore(source: ServerProcess, backup: Path, second: Path) -> None:
    source.cli("backup", str(backup))
    restored_by(source, backup, second)
    for folder in (backup, second):
        for place, _, names in os.walk(folder):
            for path in (Path(place), *(Path(place) / name for name in names)):
                assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_a_second_backup_takes_only_what_is_new(source: ServerProcess, backup: Path) -> None:
    for number in range(20):
        (source.files("acme").files / f"{number}.txt").write_text(f"{number}" * 1000)
    rest(source.data)
    assert saved(source.data, backup).added > 20
    again = saved(source.data, backup)
    assert (again.added, again.added_bytes) == (0, 0)
    (source.files("acme").files / "new.txt").write_text("new")
    assert (saved(source.data, backup).added, saved(source.data, backup).added) == (1, 0)


def test_a_second_backup_reads_only_what_is_new(
    source: ServerProcess, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source.files("acme").files / "old.txt").write_text("old")
    rest(source.data)
    saved(source.data, backup)
    monkeypatch.setattr("server.backup.trees.UNSETTLED_NS", -(10**18))
    (source.files("acme").files / "new.txt").write_text("new")
    read: list[str] = []
    monkeypatch.setattr("server.backup.objects.os.read", _noting(read, os.read))
    saved(source.data, backup)
    assert "new.txt" in read
    assert "old.txt" not in read


def _noting(names: list[str], real: object) -> object:
    def noting(file: int, size: int) -> bytes:
        names.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))
        return real(file, size)  # type: ignore[operator, no-any-return]

    return noting


def test_what_was_deleted_leaves_the_backup_too(source: ServerProcess, backup: Path) -> None:
    file = source.files("acme").files / "old.txt"
    file.write_text("old" * 1000)
    saved(source.data, backup)
    kept = len(list((backup / "objects").rglob("*")))
    file.unlink()
    saved(source.data, backup)
    assert len(list((backup / "objects").rglob("*"))) < kept
    assert not any(entry.path.endswith("old.txt") for entry in manifest_of(backup).entries)


def test_a_file_of_two_names_is_one_file_again(source: ServerProcess, backup: Path, second: Path) -> None:
    folder = source.files("acme")
    folder.copy(1).write_bytes(people("ann"))
    os.link(folder.copy(1), folder.visible("/sync_users.csv"))
    os.utime(folder.copy(1), (1_700_000_000, 1_700_000_000))
    os.setxattr(folder.copy(1), "user.headcount.written", b"{}")
    by_hand(source.data / "headcount.db", "UPDATE tenants SET last_import_id = 1 WHERE name = 'acme'")
    saved(source.data, backup)
    brought_back(backup, second)
    copy = second / "tenants" / "acme" / "uploads" / "1.csv"
    assert copy.samefile(second / "tenants" / "acme" / "files" / "sync_users.csv")
    assert copy.stat().st_mtime == 1_700_000_000
    assert os.getxattr(copy, "user.headcount.written") == b"{}"


# Refusals


def test_a_folder_with_something_else_in_it_is_refused(source: ServerProcess, backup: Path) -> None:
    backup.mkdir()
    (backup / "photos").mkdir()
    ran = source.cli("backup", str(backup), check=False)
    assert (ran.code, ran.out) == (1, b"")
    assert "is not a backup: it has photos in it" in ran.err
    assert os.listdir(backup) == ["photos"]


def test_hidden_names_of_a_file_system_stop_no_backup(source: ServerProcess, backup: Path) -> None:
    (backup / ".snapshot").mkdir(parents=True)
    saved(source.data, backup)
    hidden = [backup / ".nfs0000000000c0ffee", backup / "objects" / ".snapshot" / "hourly.0"]
    for path in hidden:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert source.cli("backup", str(backup)).code == 0
    assert all(path.exists() for path in hidden)


@pytest.mark.parametrize("where", ["data", "data/backup", "."])
def test_a_backup_inside_the_data_folder_is_refused(source: ServerProcess, where: str) -> None:
    ran = source.cli("backup", str(source.folder / where), check=False)
    assert ran.code == 1
    assert "inside each other" in ran.err
    assert not (source.data / "backup").exists()


def test_two_backups_to_one_folder_do_not_run_at_once(source: ServerProcess, backup: Path) -> None:
    saved(source.data, backup)
    with locked(backup / "lock", fcntl.LOCK_EX):
        ran = source.cli("backup", str(backup), check=False)
    assert ran.code == 1
    assert "another backup" in ran.err


async def test_the_backup_of_another_data_folder_is_replaced_only_if_told(
    source: ServerProcess, backup: Path, tmp_path: Path
) -> None:
    saved(source.data, backup)
    before = content(backup)
    second = tmp_path / "unmounted"
    async with open_tenants(second, serving=True):  # as a start of the server on an empty mount point
        pass
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    ran = source.cli("backup", str(backup), check=False)
    assert (ran.code, "has the backup of another data folder" in ran.err) == (1, True)
    assert content(backup) == before
    assert not (second / "backup.id").exists()
    assert source.cli("backup", str(backup), "--replace").code == 0
    assert source.cli("backup", str(backup)).code == 0
    assert not manifest_of(backup).under("tenants/acme")


def test_a_restored_data_folder_is_backed_up_to_the_same_folder_but_a_drill_is_not(
    source: ServerProcess, backup: Path, second: Path, tmp_path: Path
) -> None:
    saved(source.data, backup)
    brought_back(backup, second)
    assert saved(second, backup).tenants == 2
    brought_back(backup, tmp_path / "drill", drop=True)
    with pytest.raises(BackupUnusable, match="another data folder"):
        saved(tmp_path / "drill", backup)


def test_a_restored_folder_that_dropped_what_was_owed_says_how_its_backups_go_on(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    saved(source.data, backup)
    how = (
        f"{second} has no backup yet. If it takes the place of a data folder that has one, "
        "replace that backup once: headcount backup --replace FOLDER\n"
    )
    assert how in restored_by(source, backup, second, "--drop-owed").err
    assert how in source.cli("notify", "on").err
    assert source.cli("backup", str(backup), check=False).code == 1
    source.cli("backup", "--replace", str(backup))
    source.cli("backup", str(backup))
    source.cli("notify", "off")
    assert how not in source.cli("notify", "on").err


def test_a_data_folder_that_is_not_empty_is_not_restored_into(source: ServerProcess, backup: Path) -> None:
    saved(source.data, backup)
    before = content(source.data)
    ran = restored_by(source, backup, source.data)
    assert ran.code == 1
    assert "is not empty" in ran.err
    assert content(source.data) == before


def test_a_new_mount_counts_as_an_empty_data_folder(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    (second / "lost+found").mkdir(parents=True)
    assert restored_by(source, backup, second).code == 0


def test_a_folder_without_a_backup_is_not_restored(source: ServerProcess, tmp_path: Path, second: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = restored_by(source, tmp_path / "empty", second)
    assert ran.code == 1
    assert "is not a backup" in ran.err
    assert not second.exists()


# Damage


def _damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def objects_of(backup: Path) -> Iterator[Path]:
    return (path for path in sorted((backup / "objects").rglob("*")) if path.is_file())


def test_each_damaged_or_missing_object_is_found(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    for path in objects_of(backup):
        whole = path.read_bytes()
        if whole:
            _damage(path)
            ran = restored_by(source, backup, second)
            assert (ran.code, "does not match its checksum" in ran.err) == (1, True), path
        path.unlink()
        ran = restored_by(source, backup, second)
        assert (ran.code, "is not complete" in ran.err) == (1, True), path
        assert os.listdir(second) == ["headcount.lock"]
        path.write_bytes(whole)
    assert restored_by(source, backup, second).code == 0


def test_a_damaged_manifest_is_found(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    manifest = backup / "manifest.json"
    manifest.write_text(manifest.read_text().replace("tenants/bolt", "tenants/bold"))
    for ran in (restored_by(source, backup, second), source.cli("backup", str(backup), check=False)):
        assert ran.code == 1
        assert "manifest" in ran.err


def test_a_broken_tenant_keeps_its_earlier_state_and_stops_no_other(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    saved(source.data, backup)
    good = rows(source.files("acme").users_db)
    with source.files("acme").users_db.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40_000)
    (source.files("bolt").files / "new.txt").write_text("new")
    ran = source.cli("backup", str(backup), check=False)
    assert ran.code == 1
    assert "the tenant acme was not backed up" in ran.err
    assert restored_by(source, backup, second).code == 0
    assert rows(second / "tenants" / "acme" / "users.db") == good
    assert (second / "tenants" / "bolt" / "files" / "new.txt").read_text() == "new"


def test_a_tenant_that_was_always_broken_is_broken_after_a_restore(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    source.files("acme").users_db.write_bytes(b"not a database")
    assert list(source.cli("backup", str(backup), "--json", check=False).json["broken"]) == ["acme"]
    ran = restored_by(source, backup, second)
    assert ran.code == 0
    assert "acme was broken" in ran.err
    found = {each["name"]: each["broken"] for each in source.cli("tenant", "list", "--json").json}
    assert found["acme"]
    assert found["bolt"] is None


@pytest.mark.parametrize("database", ["headcount.db", "tenants/acme/users.db"])
def test_a_backup_of_a_newer_version_is_refused(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    by_hand(source.data / database, "PRAGMA user_version=999")
    with monkeypatch.context() as patch:
        patch.setattr("engine.sqlite.database.newest_version", lambda _: 999)
        saved(source.data, backup)
    ran = restored_by(source, backup, second)
    assert ran.code == 1
    assert "a newer Headcount made this backup" in ran.err
    assert os.listdir(second) == ["headcount.lock"]


def test_a_removed_tenant_that_was_broken_fails_no_backup(source: ServerProcess, backup: Path) -> None:
    source.files("acme").users_db.write_bytes(b"not a database")
    source.cli("tenant", "remove", "acme", "--yes")
    assert source.cli("backup", str(backup)).code == 0
    assert any(entry.path.endswith("/users.db") for entry in manifest_of(backup).under("removed"))


# Space


@needs(TMPFS)
def test_a_full_disk_leaves_the_previous_backup_whole(source: ServerProcess, tmp_path: Path, second: Path) -> None:
    with small_disk(tmp_path / "small") as disk:
        backup = disk / "backup"
        saved(source.data, backup)
        before = content(backup)
        large = source.files("acme").files / "large.bin"
        large.write_bytes(os.urandom(40 * 1024**2))
        ran = source.cli("backup", str(backup), check=False)
        assert ran.code == 1
        assert f"Error: {backup}: No space left on device" in ran.err
        assert content(backup) == before
        by_hand(source.files("acme").users_db, "CREATE TABLE much (x)")
        by_hand(source.files("acme").users_db, "INSERT INTO much SELECT randomblob(30000000)")
        large.unlink()
        ran = source.cli("backup", str(backup), check=False)
        assert (ran.code, f"Error: {backup}: No space left on device" in ran.err) == (1, True), ran.err
        assert content(backup) == before
        by_hand(source.files("acme").users_db, "DROP TABLE much", "VACUUM")
        filler = fill(disk)
        assert source.cli("backup", str(backup), check=False).code == 1
        filler.unlink()
        assert source.cli("backup", str(backup)).code == 0
        assert restored_by(source, backup, second).code == 0


@needs(TMPFS)
def test_a_restore_to_a_full_disk_leaves_an_empty_folder(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    (source.files("acme").files / "large.bin").write_bytes(os.urandom(30 * 1024**2))
    saved(source.data, backup)
    with small_disk(tmp_path / "small") as disk:
        ran = restored_by(source, backup, disk)
        assert ran.code == 1
        assert f"Error: {disk}: No space left on device" in ran.err
        assert os.listdir(disk) == ["headcount.lock"]
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        assert restored_by(source, backup, disk).code == 0


# A restore that was cut short


def test_nothing_uses_a_folder_whose_restore_has_not_ended(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    (second / ".restoring" / "tenants").mkdir(parents=True)
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    for command in (("tenant", "add", "new"), ("tenant", "list"), ("serve",)):
        ran = source.cli(*command, check=False)
        assert (ran.code, "has not ended" in ran.err) == (1, True), command
    assert os.listdir(second) == [".restoring"]
    assert restored_by(source, backup, second).code == 0
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    assert [each["name"] for each in source.cli("tenant", "list", "--json").json] == ["acme", "bolt"]


# Owed messages, and waiting work


async def test_a_restore_counts_what_is_owed_and_drops_it_if_told(
    source: ServerProcess, backup: Path, second: Path, tmp_path: Path
) -> None:
    columns = "tenant, channel, topic, message_id, content, created_at"
    for number, channel in enumerate(("mail", "mail", "webhook")):
        by_hand(
            source.data / "headcount.db",
            f"INSERT INTO outbox ({columns}) VALUES ('acme', '{channel}', 't{number}', 'm{number}', '{{}}', 'now')",
        )
    by_hand(
        source.files("bolt").users_db,
        "PRAGMA foreign_keys=OFF",
        "INSERT INTO invitations (user_id, import_id, message_id, email_key) VALUES (1, 1, 'i', 'ann@example.com')",
    )
    async with open_house(source.data, "acme") as house:
        await house.upload(people("ann").decode())
    saved(source.data, backup)
    owed = {"mails": 2, "webhooks": 1, "invitations": 1}
    ran = restored_by(source, backup, second, "--json")
    assert (ran.json["owed"], ran.json["dropped"], ran.json["waiting"]) == (owed, False, 1)
    assert ran.json["sending"] == "on"
    assert not is_off_in(second)
    assert "waiting" in {row[7] for row in rows(second / "headcount.db")["outbox"]}
    ran = restored_by(source, backup, tmp_path / "drill", "--drop-owed", "--json")
    assert (ran.json["owed"], ran.json["dropped"], ran.json["sending"]) == (owed, True, "off")
    assert is_off_in(tmp_path / "drill")
    assert {row[7] for row in rows(tmp_path / "drill" / "headcount.db")["outbox"]} == {"dropped"}
    assert rows(tmp_path / "drill" / "tenants" / "bolt" / "users.db")["invitations"][0][3] == "given_up"
    assert restored_by(source, backup, tmp_path / "third").text.splitlines()[1] == (
        "Owed when the server starts: 2 mails, 1 webhook and 1 invitation"
    )


def test_sending_that_was_off_is_off_after_a_restore(source: ServerProcess, backup: Path, second: Path) -> None:
    source.cli("notify", "off")
    saved(source.data, backup)
    shown = restored_by(source, backup, second).text.splitlines()
    assert shown[1] == "Owed when sending is on: 0 mails, 0 webhooks and 0 invitations"
    assert shown[-1] == ("Sending is off: no mail, webhook or invitation is sent. To turn it on: headcount notify on")
    assert (second / MARK).read_text() == (source.data / MARK).read_text()


async def test_runs_of_hooks_that_wait_or_failed_keep_their_files(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    async with open_run_house(source.data, "acme") as house:
        run = await house.upload("of a run")
    saved(source.data, backup)
    restored = brought_back(backup, second)
    assert restored.waiting == 1
    async with open_run_house(second, "acme") as house:
        again = await house.start(await house.found(run))
        assert house.folder().run_copy(again.id).read_text() == "of a run"


def test_everything_that_a_data_folder_has_is_decided(source: ServerProcess, backup: Path) -> None:
    """A new file of the server is in the backup unless it is listed here."""
    left_out = {"headcount.lock", "headcount.reserve", "tenants/.lock", NEWEST}
    with ServerProcess(source.folder) as server:
        server.put("acme", people("ann", "bob"))
        server.put("acme", people("ann"), "/test/sync_users.csv")
        server.wait("acme", 2)
        server.stop()
    saved(source.data, backup)
    had = {entry.path for entry in manifest_of(backup).entries}
    there = {
        str((Path(place) / name).relative_to(source.data))
        for place, folders, names in os.walk(source.data)
        for name in (*folders, *names)
    }
    missing = {path for path in there - had if not path.endswith(("/search.db", "/staging", "-wal", "-shm"))}
    assert missing == left_out


def test_an_unknown_format_is_refused(source: ServerProcess, backup: Path, second: Path) -> None:
    saved(source.data, backup)
    manifest = backup / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(BackupUnusable, match="Upgrade Headcount"):
        brought_back(backup, second)
