"""A link is followed where an operator moves a folder to another disk; any other link is named, and stops nothing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.backups import brought_back, content, saved
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder with host keys, two tenants, and a removed one."""
    source = ServerProcess(tmp_path)
    for name in ("acme", "bolt", "gone"):
        source.add_tenant(name)
        (source.files(name).files / "own.txt").write_text("own")
    source.cli("tenant", "remove", "gone", "--yes")
    (source.data / "host_keys").mkdir(mode=0o700)
    (source.data / "host_keys" / "ed25519").write_text("secret")
    return source


@pytest.mark.parametrize(
    "place",
    [
        *("host_keys", "tenants", "removed", "tenants/acme", "tenants/acme/files", "tenants/acme/uploads"),
        *("tenants/acme/users.db", "headcount.db"),
    ],
)
def test_what_was_moved_to_another_disk_is_in_the_backup(
    source: ServerProcess, backup: Path, tmp_path: Path, place: str
) -> None:
    shutil.move(source.data / place, tmp_path / "disk")
    (source.data / place).symlink_to(tmp_path / "disk")
    manifest = saved(source.data, backup).manifest
    assert (dict(manifest.broken), dict(manifest.skipped)) == ({}, {})
    brought_back(backup, tmp_path / "second")
    (source.data / place).unlink()
    shutil.move(tmp_path / "disk", source.data / place)
    assert content(tmp_path / "second") == content(source.data)


def test_a_restore_says_what_the_backup_lacks(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    key = source.data / "host_keys" / "ed25519"
    for place, earlier in (("second", "no copy"), ("third", "only an earlier copy")):
        key.rename(tmp_path / "key")
        key.symlink_to(tmp_path / "key")
        assert source.cli("backup", str(backup), check=False).code == 1
        data = source.data
        source.data = tmp_path / place
        assert f"Warning: The backup has {earlier} of host_keys/ed25519: {key} is a symbolic link" in (
            source.cli("restore", str(backup)).warned
        )
        source.data = tmp_path / f"{place}-again"
        (path,) = source.cli("restore", str(backup), "--json").json["skipped"]
        assert path == "host_keys/ed25519"
        source.data = data
        key.unlink()
        (tmp_path / "key").rename(key)
        source.cli("backup", str(backup))


def make_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def make_link_to_folder(path: Path) -> None:
    path.symlink_to("/etc")


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_socket(path: Path) -> None:
    """Bind by the short name: the path of a socket is short."""
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


PLACES = ("tenants/acme/files/odd", "tenants/acme/odd", "host_keys/odd", "odd")
MAKERS = (make_link, make_link_to_folder, make_dangling_link, make_socket, os.mkfifo)


@pytest.mark.parametrize(
    ("make", "place"),
    [(make, place) for make in MAKERS for place in PLACES if (make, place) != (make_link_to_folder, "odd")],
)
def test_a_link_or_socket_is_named_and_stops_nothing(
    source: ServerProcess, backup: Path, tmp_path: Path, place: str, make: Callable[[Path], None]
) -> None:
    good = content(source.data)
    make(source.data / place)
    manifest = saved(source.data, backup).manifest
    kind = "a device, a socket or a pipe" if make in (make_socket, os.mkfifo) else "a symbolic link"
    (why,) = [*manifest.broken.values(), *manifest.skipped.values()]
    assert f"{source.data / place} is {kind}" in why
    brought_back(backup, tmp_path / "second")
    assert content(tmp_path / "second") == good | {"backup.id": (source.data / "backup.id").read_bytes()}
