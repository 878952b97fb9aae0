"""A restore is complete or leaves an empty folder, at whatever moment it ends."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ground.files import fsync_folder
from server.backup import moving, restoring
from server.backup.manifest import BackupUnusable
from server.backup.objects import locked
from server.tenants.settings import TenantRefused
from tests.support.backups import brought_back, content, saved
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

STEPS = 5
"""The names that a restore moves: backup.id, headcount.db, host_keys, removed and tenants."""


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder without a server, with the parts of STEPS."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    source.add_tenant("gone")
    source.cli("tenant", "remove", "gone", "--yes")
    (source.data / "host_keys").mkdir(mode=0o700)
    (source.data / "host_keys" / "key").write_text("secret")
    return source


@pytest.fixture
def backup(source: ServerProcess, tmp_path: Path) -> Path:
    saved(source.data, tmp_path / "backup")
    return tmp_path / "backup"


def ending(step: int, end: Callable[[], None]) -> Callable[[Path], None]:
    """Return a flush of a folder that calls `end` when that many parts are in place."""
    calls = 0

    def flush(folder: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            end()
        fsync_folder(folder)

    return flush


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(backup: Path, second: Path, step: int, patch: pytest.MonkeyPatch, *, drop: bool = False) -> None:
    """Restore in a child that is killed when that many parts are in place; with 0, before the first is written."""
    child = os.fork()
    if child == 0:
        patch.setattr(moving, "fsync_folder", ending(step, die))
        if not step:
            patch.setattr(restoring.Objects, "path", lambda *_: die())
        brought_back(backup, second, drop=drop)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_restore_killed_while_it_ends_begins_again(
    source: ServerProcess, backup: Path, second: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(backup, second, step, monkeypatch)
    assert len(set(os.listdir(second)) - {".restoring", "headcount.lock"}) == step
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    for command in (("tenant", "list"), ("serve",)):
        ran = source.cli(*command, check=False)
        assert (ran.code, "has not ended" in ran.err) == (1, True), command
    brought_back(backup, second)
    assert content(second) == content(source.data)
    assert not any(name.startswith(".") for name in os.listdir(second))


@pytest.mark.parametrize("drop", [True, False])
@pytest.mark.parametrize("step", [0, 1, STEPS])
def test_a_killed_restore_says_with_which_options_to_begin_again(
    source: ServerProcess, backup: Path, second: Path, step: int, drop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drill that begins again without --drop-owed would send what the real server owes."""
    source.cli("notify", "off")
    saved(source.data, backup)
    killed(backup, second, step, monkeypatch, drop=drop)
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    advice = "restore --drop-owed FOLDER" if drop else "restore FOLDER"
    for command in (("tenant", "list"), ("serve",), ("doctor",)):
        ran = source.cli(*command, check=False)
        assert ran.code == 1
        assert advice in " ".join((ran.err + ran.text).split()), command
    brought_back(backup, second, drop=drop)
    assert (second / "sending-off").exists()
    assert not any(name.startswith(".") for name in os.listdir(second))


def test_a_restore_killed_after_its_end_has_ended(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(backup, second, STEPS + 1, monkeypatch)
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    assert [each["name"] for each in source.cli("tenant", "list", "--json").json] == ["acme"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_restore_that_fails_or_is_interrupted_while_it_ends_leaves_an_empty_folder(
    backup: Path, second: Path, step: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(moving, "fsync_folder", ending(step, fail))
    with pytest.raises(error):
        brought_back(backup, second)
    assert os.listdir(second) == ["headcount.lock"]


def test_a_restore_that_begins_again_deletes_nothing_of_others(
    backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(backup, second, STEPS, monkeypatch)
    (second / "headcount.db").rename(second.parent / "headcount.db")
    (second / "headcount.db").write_text("of others")
    with pytest.raises(TenantRefused, match=r"it has headcount\.db in it"):
        brought_back(backup, second)
    assert (second / "headcount.db").read_text() == "of others"
    assert (second / "tenants" / "acme" / "users.db").exists()


def test_a_backup_and_a_restore_of_one_folder_do_not_run_at_once(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(backup / "lock", fcntl.LOCK_EX), pytest.raises(BackupUnusable, match=r"a backup to .* runs"):
        brought_back(backup, second)
    assert not second.exists()

    def while_it_restores(folder: Path) -> None:
        with pytest.raises(BackupUnusable, match="or a restore from it, runs"):
            saved(source.data, backup)
        fsync_folder(folder)

    monkeypatch.setattr(moving, "fsync_folder", while_it_restores)
    brought_back(backup, second)
    assert content(second) == content(source.data)


def test_a_copy_of_a_backup_without_its_lock_is_restored_and_stays_as_it_is(backup: Path, second: Path) -> None:
    (backup / "lock").unlink()
    brought_back(backup, second)
    assert not (backup / "lock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of root")
def test_a_restore_as_root_says_who_owns_the_data(source: ServerProcess, backup: Path, second: Path) -> None:
    source.env["HEADCOUNT_DATA_DIR"] = str(second)
    ran = source.cli("restore", str(backup))
    assert ran.warned == (
        f"Warning: root owns {second}. If the server runs as another user, give it to that user: "
        f"chown -R USER {second}\n"
    )
