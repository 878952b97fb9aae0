"""The image of deploy/Dockerfile is built, started, fed and stopped: `make container`."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from headcount import __version__
from server.settings import ServerSettings
from tests.container.containers import Container
from tests.container.images import IMAGE, Buildah
from tests.support.clients import client, needs
from tests.support.importing import people
from tests.support.waiting import wait_until

pytestmark = [
    needs("buildah", "debootstrap", "ip", "nsenter", "sftp", "unshare"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the base image and its mounts"),
]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """Build the image, which takes minutes. Its files are removed at the end: they take gigabytes."""
    buildah = Buildah(tmp_path_factory.mktemp("buildah"))
    try:
        buildah.make_base()
        buildah.build()
        yield buildah
    finally:
        shutil.rmtree(buildah.folder)


@pytest.fixture(scope="module")
def root(buildah: Buildah) -> Iterator[Path]:
    """Give the files of a container of the image."""
    container = buildah("from", "--pull-never", IMAGE)
    yield Path(buildah("mount", container))
    buildah("umount", container)
    buildah("rm", container)


@pytest.fixture
def container(buildah: Buildah, root: Path, tmp_path: Path) -> Iterator[Container]:
    """Start a container with an empty volume, whose owner is that of the folder in the image."""
    config = buildah.config()
    (volume,) = config["Volumes"]
    folder = (root / volume.lstrip("/")).stat()
    data = tmp_path / "data"
    data.mkdir(mode=folder.st_mode & 0o777)
    os.chown(data, folder.st_uid, folder.st_gid)
    container = Container(root, config, data, tmp_path / "log")
    container.start()
    yield container
    container.end()


def headcount(container: Container, *arguments: str, stdin: str = "") -> str:
    """Run a command in the container; return its output."""
    done = container.run("headcount", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_image_has_the_server_its_version_and_a_user_that_is_not_root(buildah: Buildah) -> None:
    made = buildah("from", "--pull-never", IMAGE)
    assert buildah("run", made, "--", "headcount", "--version").split()[-1] == __version__
    assert buildah("run", made, "--", "id", "-u") == "10001"
    buildah("rm", made)


def test_every_module_of_the_image_is_compiled(root: Path) -> None:
    """With a read-only root, each start would compile the others again."""
    packages = next((root / "opt/headcount/lib").glob("python3*")) / "site-packages"
    modules = [path for path in packages.rglob("*.py") if "template" not in str(path)]
    assert len(modules) > 1000
    missing = [path for path in modules if not [*(path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")]]
    assert missing == []


def test_a_container_imports_an_upload_keeps_it_and_stops_in_order(container: Container, tmp_path: Path) -> None:
    status = Path(f"/proc/{container.pid}/status").read_text()
    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE), "it is process 1 inside"
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    assert container.run("touch", "/opt/headcount/x").returncode != 0

    kind, *check = container.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert container.run(*check).returncode == 0

    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(key.export_private_key())
    (tmp_path / "key").chmod(0o600)
    headcount(container, "tenant", "add", "acme")
    headcount(container, "key", "add", "acme", "-", stdin=key.export_public_key().decode())
    send(container, tmp_path)
    report = json.loads(headcount(container, "import", "wait", "acme", "--json"))
    assert (report["state"], report["counts"]["created"]) == ("completed", 2)
    assert container.stop() == 0

    container.start()
    users = json.loads(headcount(container, "users", "list", "acme", "--json"))
    assert [user["email"] for user in users] == ["ann@example.com", "bob@example.com"]
    send(container, tmp_path)
    wait_until(lambda: json.loads(headcount(container, "import", "show", "acme", "--json"))["id"] == 2)
    assert container.stop() == 0


def send(container: Container, folder: Path) -> None:
    """Send two users with OpenSSH's sftp."""
    (folder / "users.csv").write_bytes(people("ann", "bob"))
    port = ServerSettings.model_fields["sftp_port"].default
    options = {
        "Port": port,
        "IdentityFile": folder / "key",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "UserKnownHostsFile": folder / "known_hosts",
        # The second connection checks that the host key is the same.
        "StrictHostKeyChecking": "accept-new",
    }
    given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    command = [client("sftp"), "-F", "/dev/null", *given, "-b", "-", "acme@127.0.0.1"]
    done = container.reach(*command, stdin=f'put "{folder / "users.csv"}" /sync_users.csv\n')
    assert done.returncode == 0, done.stderr
