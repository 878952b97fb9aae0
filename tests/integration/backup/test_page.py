"""The commands of docs/operating.md work for root and the user of the server, who is another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.tenants.sending import is_off_in
from tests.support.backups import manifest_of, saved
from tests.support.clients import TMPFS, needs
from tests.support.doctoring import OTHER
from tests.support.operating import at, commands
from tests.support.server_process import Ran, ServerProcess

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

AS_USER = "sudo -u headcount "


@pytest.fixture
def source() -> Iterator[ServerProcess]:
    """A data folder of OTHER, in a folder of root, as /var/lib is."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        source = ServerProcess(Path(folder))
        source.add_tenant("acme")
        saved(source.data, Path(folder) / "first")  # what a command loads later, OTHER may be unable to read
        source.cli("doctor", check=False)
        for place, _, names in os.walk(source.data):
            for path in (place, *(os.path.join(place, name) for name in names)):
                os.chown(path, OTHER, OTHER)
        yield source


def obey(source: ServerProcess, line: str) -> Ran | None:
    """Run a command of the page; `sudo` becomes OTHER."""
    line = at(line, {"/var/lib/headcount": source.data, "/mnt/backup": source.folder, "/tmp/drill": drill(source)})
    if "headcount --data-dir" not in line:
        subprocess.run(["sh", "-c", line.replace("-o headcount", f"-o {OTHER}")], check=True, timeout=60)
        return None
    try:
        os.seteuid(OTHER if line.startswith(AS_USER) else 0)
        ran = source.cli(*line.removeprefix(AS_USER).split()[1:], check=False)
    finally:
        os.seteuid(0)
    assert ran.code == 0, f"{line}\n{ran.text}{ran.err}"
    return ran


def drill(source: ServerProcess) -> Path:
    return source.folder / "drill"


@needs(TMPFS)  # only root can become another user
def test_root_backs_up_and_restores_a_part_by_the_commands_of_the_page(source: ServerProcess) -> None:
    users = source.files("acme").users_db
    good = users.read_bytes()
    for line in commands("Backup"):
        obey(source, line)
    users.write_bytes(b"damaged")
    *lines, doctor = commands("Restore a part")
    for line in lines:
        obey(source, line)
    ran = obey(source, doctor)
    assert ran
    assert ran.text == f"Found well: {source.data}\n"
    assert (users.stat().st_uid, users.read_bytes()[:16]) == (OTHER, good[:16])
    assert (source.folder / "data-damaged" / "users.db").read_bytes() == b"damaged"
    for line in commands("Upgrade")[:-1]:
        obey(source, line)
    assert manifest_of(source.folder / "headcount-before-upgrade").under("tenants/acme")


@needs(TMPFS)  # only root can become another user
def test_a_user_restores_into_a_disk_of_root_that_this_user_may_write_to(source: ServerProcess) -> None:
    obey(source, commands("Backup")[0])
    obey(source, commands("Backup")[1])
    source.data = source.folder / "disk"
    source.data.mkdir()
    os.chown(source.data, 0, 0)  # OTHER keeps the groups of this process
    restore = f"{AS_USER}headcount --data-dir {source.data} restore {source.folder / 'headcount'}"
    source.data.chmod(0o750)
    with pytest.raises(AssertionError, match=f"{source.data}.*Permission denied"):
        obey(source, restore)
    source.data.chmod(0o770)
    obey(source, restore)
    assert source.files("acme").users_db.stat().st_uid == OTHER


@needs(TMPFS)
def test_root_does_not_restore_into_the_folder_of_another_user(source: ServerProcess) -> None:
    source.data = source.folder / "second"
    source.data.mkdir()
    os.chown(source.data, OTHER, OTHER)
    ran = source.cli("restore", str(source.folder / "first"), check=False)
    assert (ran.code, f"belongs to the user #{OTHER}" in ran.err) == (1, True)
    assert os.listdir(source.data) == []


def test_no_backup_of_a_copy_for_a_drill_replaces_that_of_the_server(tmp_path: Path) -> None:
    source, backup = ServerProcess(tmp_path), tmp_path / "headcount"
    source.add_tenant("acme")
    saved(source.data, backup)
    before = manifest_of(backup)
    shutil.copytree(source.data, drill(source))
    for line in commands("A drill", -1):
        obey(source, line)
    source.data = drill(source)
    assert is_off_in(source.data)
    ran = source.cli("backup", str(backup), check=False)
    assert (ran.code, "has the backup of another data folder" in ran.err) == (1, True)
    assert manifest_of(backup) == before
