"""A file that cannot be read is named, keeps its earlier copy, and stops nothing else: not even its tenant."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.sqlite.backup import Landed, View
from server.backup.objects import Objects
from server.backup.taking import Taken
from tests.support.backups import brought_back, manifest_of, rows, saved
from tests.support.clients import TMPFS, needs
from tests.support.importing import people
from tests.support.queues import open_house
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = [
    pytest.mark.only_on("sqlite", "Headcount backs up no other engine"),
    needs(TMPFS),
]  # only root can become another user
OTHER = 65534


@pytest.fixture
def source() -> Iterator[ServerProcess]:
    """A data folder with two tenants, where another user can reach it."""
    with tempfile.TemporaryDirectory() as folder:
        source = ServerProcess(Path(folder))
        source.add_tenant("acme")
        source.add_tenant("bolt")
        yield source


@pytest.fixture
def backup(source: ServerProcess) -> Path:
    return source.folder / "backup"


@pytest.fixture
def second(source: ServerProcess) -> Path:
    """The data folder to restore into."""
    return source.folder / "second"


def give(folder: Path) -> None:
    """Make OTHER the owner of everything in the folder."""
    for place, _, names in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in names)):
            os.chown(path, OTHER, OTHER, follow_symlinks=False)


def saved_by_owner(source: ServerProcess, backup: Path) -> Taken:
    """Back up as the user OTHER, who must own what can be read."""
    os.seteuid(OTHER)
    try:
        return saved(source.data, backup)
    finally:
        os.seteuid(0)


def paths_of(backup: Path, folder: str) -> set[str]:
    return {entry.path for entry in manifest_of(backup).under(folder)}


def lock_file(files: Path) -> None:
    os.chown(files / "inbox" / "kept.txt", 0, 0)
    os.chmod(files / "inbox" / "kept.txt", 0o600)


def forbid_to_list(files: Path) -> None:
    os.chmod(files / "inbox", 0o000)


def forbid_to_enter(files: Path) -> None:
    os.chmod(files / "inbox", 0o600)


@pytest.mark.parametrize("lock", [lock_file, forbid_to_list, forbid_to_enter])
def test_what_cannot_be_read_of_a_tenant_is_as_before_and_the_rest_is_new(
    source: ServerProcess, backup: Path, second: Path, lock: object
) -> None:
    files = source.files("acme").files
    (files / "inbox").mkdir()
    (files / "inbox" / "kept.txt").write_text("kept")
    give(source.folder)
    saved_by_owner(source, backup)
    by_hand(source.files("acme").users_db, "CREATE TABLE later (x)")
    (files / "new.txt").write_text("new")
    give(source.folder)
    lock(files)  # type: ignore[operator]
    taken = saved_by_owner(source, backup)
    assert list(taken.manifest.broken) == ["acme"]
    assert "Permission denied" in taken.manifest.broken["acme"]
    brought_back(backup, second)
    restored = second / "tenants" / "acme"
    assert (restored / "files" / "inbox" / "kept.txt").read_text() == "kept"
    assert (restored / "files" / "new.txt").read_text() == "new"
    assert "later" in rows(restored / "users.db")


@pytest.mark.parametrize("lock", [lock_file, forbid_to_list, forbid_to_enter])
def test_a_first_backup_has_all_but_what_cannot_be_read(source: ServerProcess, backup: Path, lock: object) -> None:
    files = source.files("acme").files
    (files / "inbox").mkdir()
    (files / "inbox" / "kept.txt").write_text("kept")
    (files / "other.txt").write_text("other")
    give(source.folder)
    lock(files)  # type: ignore[operator]
    assert list(saved_by_owner(source, backup).manifest.broken) == ["acme"]
    had = paths_of(backup, "tenants/acme")
    assert {"tenants/acme/users.db", "tenants/acme/keys.json", "tenants/acme/files/other.txt"} <= had
    assert "tenants/acme/files/inbox/kept.txt" not in had
    assert "tenants/bolt/users.db" in paths_of(backup, "tenants/bolt")


# Outside the folders of tenants


@pytest.fixture
def removed(source: ServerProcess) -> Path:
    """The folder of a removed tenant, with a file of its own."""
    (source.files("bolt").files / "contract.txt").write_text("contract")
    source.cli("tenant", "remove", "bolt", "--yes")
    return next((source.data / "removed").iterdir())


@pytest.mark.parametrize("place", ["files/contract.txt", "users.db", "files", ".", ".."])
def test_a_removed_tenant_that_cannot_be_read_keeps_its_copies(
    source: ServerProcess, backup: Path, second: Path, removed: Path, place: str
) -> None:
    give(source.folder)
    saved_by_owner(source, backup)
    good = paths_of(backup, "removed")
    (removed / "files" / "new.txt").write_text("new")
    give(source.folder)
    os.chown(removed / place, 0, 0)
    os.chmod(removed / place, 0o700 if (removed / place).is_dir() else 0o600)
    taken = saved_by_owner(source, backup)
    assert list(taken.manifest.skipped) == [os.path.relpath(removed / place, source.data)]
    assert not taken.manifest.broken
    now = paths_of(backup, "removed")
    assert good <= now
    assert (f"removed/{removed.name}/files/new.txt" in now) == (place in {"files/contract.txt", "users.db"})
    brought_back(backup, second)
    assert (second / "removed" / removed.name / "files" / "contract.txt").read_text() == "contract"


def test_a_folder_without_a_tenant_stays_in_a_backup_if_it_cannot_be_listed(
    source: ServerProcess, backup: Path
) -> None:
    give(source.folder)
    saved_by_owner(source, backup)
    good = paths_of(backup, "tenants/bolt")
    by_hand(source.data / "headcount.db", "DELETE FROM tenants WHERE name = 'bolt'")
    (source.files("acme").files / "new.txt").write_text("new")
    give(source.folder)
    (source.data / "tenants").chmod(0o300)
    assert list(saved_by_owner(source, backup).manifest.skipped) == ["tenants"]
    assert paths_of(backup, "tenants/bolt") == good
    assert "tenants/acme/files/new.txt" in paths_of(backup, "tenants/acme")


def test_a_file_of_the_operator_that_cannot_be_read_stops_no_backup(
    source: ServerProcess, backup: Path, second: Path
) -> None:
    (source.data / "hooks.toml").write_text("# good")
    (source.data / "host_keys").mkdir(mode=0o700)
    for name in ("rsa", "ed25519"):
        (source.data / "host_keys" / name).write_text("secret")
    give(source.folder)
    saved_by_owner(source, backup)
    for place in ("hooks.toml", "host_keys/rsa"):
        os.chown(source.data / place, 0, 0)
        os.chmod(source.data / place, 0o600)
    (source.data / "notes.bak").write_text("of root")
    (source.data / "notes.bak").chmod(0o600)
    taken = saved_by_owner(source, backup)
    assert sorted(taken.manifest.skipped) == ["hooks.toml", "host_keys/rsa", "notes.bak"]
    brought_back(backup, second)
    assert (second / "hooks.toml").read_text() == "# good"
    assert sorted(os.listdir(second / "host_keys")) == ["ed25519", "rsa"]
    assert not (second / "notes.bak").exists()


# A failing disk


def fail_reads(database: Path) -> None:
    """Let this process read nothing more of `database`, whose connections are open: each read is one of a folder."""
    for each in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{each}") == str(database):
                folder = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY)
                os.dup2(folder, int(each))
                os.close(folder)


@pytest.mark.parametrize("resting", [True, False])
def test_a_disk_that_fails_below_one_database_stops_no_other(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch, resting: bool
) -> None:
    saved(source.data, backup)
    database, real = source.files("acme").users_db, View.copy
    for name in ("acme", "bolt"):
        by_hand(source.files(name).users_db, "CREATE TABLE much (x)", "INSERT INTO much VALUES (randomblob(9000000))")
    if resting:
        monkeypatch.setattr("server.tenants.local.looks.UNSETTLED_S", -(10**9))

    def copy(self: View, target: Path, without: Collection[Landed] = ()) -> None:
        fail_reads(database)
        real(self, target, without)

    monkeypatch.setattr(View, "copy", copy)
    broken = saved(source.data, backup).manifest.broken
    assert list(broken) == ["acme"]
    assert f"{database} cannot be read (disk I/O error)" in broken["acme"]
    brought_back(backup, second)
    assert "much" not in rows(second / "tenants" / "acme" / "users.db")
    assert "much" in rows(second / "tenants" / "bolt" / "users.db")


def test_a_disk_that_fails_below_the_file_of_a_waiting_import_stops_nothing_else(
    source: ServerProcess, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is opened at the moment, and fails when it is copied."""

    async def wait_in_line() -> None:
        async with open_house(source.data, "acme") as house:
            await house.upload(people("ann").decode())

    asyncio.run(wait_in_line())
    source.files("acme").visible("/sync_users.csv").unlink()  # else it is copied by this name
    file, real = source.files("acme").copy(1), Objects.put

    def put(self: Objects, opened: int) -> tuple[str, int]:
        fail_reads(file)
        return real(self, opened)

    monkeypatch.setattr(Objects, "put", put)
    broken = saved(source.data, backup).manifest.broken
    assert f"{file} cannot be read" in broken["acme"]
    assert "tenants/bolt/users.db" in paths_of(backup, "tenants/bolt")
    assert "tenants/acme/users.db" in paths_of(backup, "tenants/acme")
