"""Backups beside the real server: under load, killed at random moments, interrupted, and of many tenants."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from server.backup.objects import Objects
from tests.support import ROOT
from tests.support.backing_up import BackingUp
from tests.support.backups import brought_back, disagreements, manifest_of, rest, rows, saved
from tests.support.busy_clients import BusyClients
from tests.support.clients import EXT4, needs
from tests.support.disks import ext4_disk, mounted
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.writing import by_hand

pytestmark = [pytest.mark.only_on("sqlite", "Headcount backs up no other engine"), needs("sftp")]

TENANTS = ("acme", "bolt", "cord")
ROUNDS = 6
KILLS = int(os.environ.get("KILLS", "25"))
MANY = 1000
MANY_FILES = 5000


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def busy_server(folder: Path) -> ServerProcess:
    server = ServerProcess(folder)
    for name in TENANTS:
        server.add_tenant(name)
    return server


def nothing_waits(server: ServerProcess) -> bool:
    waiting = {"arriving", "queued", "running"}
    return not any(row[2] in waiting for row in rows(server.data / "headcount.db")["imports"])


def has_plain(server: ServerProcess, tenant: str, number: int) -> bool:
    names = (f"/a-{number}.txt", f"/test/a-{number}.txt")
    return number < 1 or any(server.files(tenant).visible(name).exists() for name in names)


def has_list(data: Path, tenant: str, number: int) -> bool:
    """Return whether the users of a list, or of a later one, are stored or wait in the copy of an import."""
    folder = ServerProcess(data.parent).files(tenant)
    waiting = {"queued", "running"}
    imports = [row for row in rows(data / "headcount.db")["imports"] if row[0] == tenant and row[2] in waiting]
    copies = [folder.copy(row[1]).read_text() for row in imports]
    address = f"p{number}@example.com"
    users = ServerProcess(data.parent).users(tenant)
    return number < 1 or address in users or any(address in text for text in copies)


def test_a_backup_under_load_has_all_that_a_client_had_its_ok_for(tmp_path: Path, backup: Path) -> None:
    with busy_server(tmp_path) as server, BusyClients(server, TENANTS) as clients:
        for number in range(ROUNDS):
            seen = dict(clients.ok)
            wait_until(lambda seen=seen: all(clients.ok[each] > seen[each] for each in TENANTS), 60, "more files")  # type: ignore[misc]
            known, plain = dict(clients.ok), dict(clients.plain)
            saved(server.data, backup)
            restored = ServerProcess(tmp_path / f"restored-{number}")
            brought_back(backup, restored.data)
            assert disagreements(restored.data) == []
            assert all(has_plain(restored, tenant, plain[tenant]) for tenant in TENANTS), (plain, number)
            assert all(has_list(restored.data, tenant, known[tenant]) for tenant in TENANTS), (known, number)
    assert min(clients.ok.values()) >= ROUNDS
    with restored:
        wait_until(lambda: nothing_waits(restored), 60, "all imports to end")
        for tenant in TENANTS:
            assert f"p{known[tenant]}@example.com" in restored.users(tenant)
        ends = {row[2] for row in rows(restored.data / "headcount.db")["imports"]}
        assert ends <= {"completed", "unchanged", "superseded", "aborted"}


def test_a_backup_killed_at_random_moments_leaves_the_previous_one_whole(tmp_path: Path, backup: Path) -> None:
    chance = random.Random(1)
    with busy_server(tmp_path) as server, BusyClients(server, TENANTS):
        began = time.monotonic()
        saved(server.data, backup)
        took, killed = time.monotonic() - began, 0
        with BackingUp(server.data, backup) as backing_up:
            while killed < KILLS:
                before = (backup / "manifest.json").read_bytes()
                child, began = backing_up.begin(), time.monotonic()
                time.sleep(chance.random() * took * 1.2)
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(child, signal.SIGKILL)
                if backing_up.ended() == -signal.SIGKILL:
                    killed += 1
                else:
                    assert (backup / "manifest.json").read_bytes() != before
                    took = min(took, time.monotonic() - began)  # else a first one that took long would not be hit
                brought_back(backup, tmp_path / "restored")
                assert disagreements(tmp_path / "restored") == []
                shutil.rmtree(tmp_path / "restored")
        saved(server.data, backup)
    objects = {path.name for path in (backup / "objects").rglob("*") if path.is_file()}
    assert objects == manifest_of(backup).objects().keys()


def started(
    source: ServerProcess, *command: str, program: Sequence[str] = ("-m", "headcount")
) -> subprocess.Popen[str]:
    env = {**os.environ, "HEADCOUNT_DATA_DIR": str(source.data)}
    arguments = [sys.executable, *program, *command]
    return subprocess.Popen(arguments, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)


FREEZING = """
import os, signal, sys

left = int(sys.argv.pop(1))


def heard(event, arguments):
    global left
    if event == "os.rename" and "/objects/" in os.fspath(arguments[1]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGSTOP)


sys.addaudithook(heard)
from headcount.__main__ import main
main()
"""
"""The command `headcount`, which freezes itself when a backup has got so many files."""


def interrupted(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Send SIGINT, also to a process that is frozen; return the exit code and the last line of stderr."""
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGCONT)
    _, err = running.communicate(timeout=DEADLINE_S)
    return running.returncode, err.splitlines()[-1]


def test_an_interrupted_backup_ends_with_130_and_changes_no_backup(tmp_path: Path, backup: Path) -> None:
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    saved(source.data, backup)
    before = manifest_of(backup)
    for number in range(MANY_FILES):
        (source.files("acme").files / f"{number}.txt").write_text(f"{number}")
    with started(source, "backup", str(backup), program=("-c", FREEZING, "10")) as running:
        stat = Path(f"/proc/{running.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="some files to be copied")
        assert interrupted(running) == (130, "Error: interrupted")
    assert manifest_of(backup) == before
    assert len(list((backup / "objects").glob("*/*"))) < MANY_FILES
    brought_back(backup, tmp_path / "second")
    saved(source.data, backup)
    assert len(manifest_of(backup).objects()) > MANY_FILES


def test_an_interrupted_restore_ends_with_130_and_leaves_an_empty_folder(tmp_path: Path, backup: Path) -> None:
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    saved(source.data, backup)
    users = next(entry.sha256 for entry in manifest_of(backup).entries if entry.path.endswith("users.db"))
    assert users
    slow = backup / "objects" / users[:2] / users
    slow.rename(tmp_path / "users.db")
    os.mkfifo(slow)  # the restore waits for its content
    source.data = tmp_path / "second"
    with started(source, "restore", str(backup)) as running:
        wait_until(lambda: list(source.data.glob(".restoring/tenants/*/users.db")), DEADLINE_S, "the restore to wait")
        assert interrupted(running) == (130, "Error: interrupted")
    assert os.listdir(source.data) == ["headcount.lock"]
    (tmp_path / "users.db").rename(slow)
    brought_back(backup, source.data)


@needs(EXT4, "fsfreeze")
def test_a_start_recovers_from_a_snapshot_of_the_file_system(tmp_path: Path) -> None:
    """The file system is frozen while its disk is copied, as a snapshot of LVM does."""
    with ext4_disk(tmp_path / "disk", 64) as disk:
        server = ServerProcess(tmp_path)
        server.data = disk / "data"
        for name in TENANTS:
            server.add_tenant(name)
        with server, BusyClients(server, TENANTS) as clients:
            wait_until(lambda: min(clients.ok.values()) > 3, 60, "some files")
            known = dict(clients.ok)
            subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
            try:
                shutil.copy(tmp_path / "disk.img", tmp_path / "copy.img")
            finally:
                subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)
    restored = ServerProcess(tmp_path / "restored")
    with mounted(tmp_path / "copy.img", tmp_path / "restored") as place:
        restored.data = place / "data"
        assert disagreements(restored.data) == []
        with restored:
            wait_until(lambda: nothing_waits(restored), 60, "all imports to end")
            assert all(f"p{known[tenant]}@example.com" in restored.users(tenant) for tenant in TENANTS)


def test_a_thousand_tenants_are_backed_up_and_restored(tmp_path: Path, backup: Path) -> None:
    source = ServerProcess(tmp_path)
    source.add_tenant("t0")
    names = [f"t{number}" for number in range(MANY)]
    for name in names[1:]:
        shutil.copytree(source.files("t0").root, source.files(name).root)
        (source.files(name).files / "own.txt").write_text(name)
    by_hand(
        source.data / "headcount.db",
        "INSERT INTO tenants (name, created_at) VALUES " + ", ".join(f"('{name}', 'now')" for name in names[1:]),
    )
    rest(source.data)  # so only the first backup reads all of it
    with source:
        (source.files("t1").files / "new.txt").write_text("new")
        assert saved(source.data, backup).tenants == MANY
    saved(source.data, backup)
    assert saved(source.data, backup).added == 0
    brought_back(backup, tmp_path / "second" / "data", drop=True)
    with ServerProcess(tmp_path / "second") as restored:
        listed = restored.cli("tenant", "list", "--json").json
        assert len(listed) == MANY
        assert all(each["broken"] is None for each in listed)
        assert (restored.files("t999").files / "own.txt").read_text() == "t999"
        shutil.copy(source.private_key("t0"), restored.private_key("t999"))
        for number, names_sent in enumerate((("ann", "bob"), ("ann", "bob", "cy")), 1):
            restored.put("t999", people(*names_sent))
            assert restored.wait("t999", number)["state"] == "completed"
        restored.cli("import", "undo", "t999")
        assert restored.users("t999")["cy@example.com"] == "deactivated"
        assert restored.users("t998") == {}
        assert Objects(backup).manifest() is not None
