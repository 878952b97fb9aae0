"""A machine for tests of units and installations: systemd as process 1 on a copy of the root of this machine.

with Machine(tmp_path / "machine") as machine:
    machine.run("systemctl start headcount")

The copy is an overlay in memory, and has its own processes, mounts and network, with a loopback interface only. So a
test may install packages, add users and listen on any port. Nothing of that is left on this machine, also if the test
is killed. The kernel is that of this machine: its settings, modules and clock cannot be changed. It needs root and a
kernel that allows all of this: `needs(MACHINE)`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from tests.support.waiting import wait_until

BOOT = Path(__file__).with_name("machine_boot.py")
SYSTEMD = ("/lib/systemd/systemd", "--unit=sysinit.target", "--log-target=journal")
"""Not the default target: the services of this machine stay stopped."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 180
COMMAND_S = 900
"""Long on purpose: a busy machine boots slowly, and a slow network brings packages slowly."""
OF_PACKAGES = (
    "PIP_",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)
"""Variables by which this machine reaches packages."""


def can_boot() -> bool:
    """Return whether this process may make what a machine consists of. It does not look for systemd."""
    if os.geteuid():
        return False
    with tempfile.TemporaryDirectory() as folder:
        # Units have user namespaces.
        command = [sys.executable, "-I", str(BOOT), folder, "/usr/bin/unshare", "--user", "true"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


class Machine:
    """A booted machine with `folder` as its place; it ends with its context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._boot: subprocess.Popen[bytes] | None = None
        self._first = 0

    def __enter__(self) -> Machine:
        self.folder.mkdir(parents=True)
        command = [sys.executable, "-I", str(BOOT), str(self.folder), *SYSTEMD]
        with (self.folder.parent / f"{self.folder.name}.log").open("wb") as log:
            self._boot = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(self._is_up, BOOT_S, "systemd to boot")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Kill all its processes, and wait until its boot program has cleaned up."""
        if self._boot is None:
            return
        self._boot.terminate()
        self._boot.wait(BOOT_S)
        self._boot = None

    def run(
        self, script: str, *, at: str = "/", online: bool = False, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of bash as root, in the folder `at`; `online`: with the network of this machine.

        It ends at the first failing command. Raises AssertionError if it fails, unless not `check`.
        """
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", *([] if online else ["--net"])]
        shell = ["bash", "-euo", "pipefail", "-c", f"cd {at}\n{script}"]
        of_packages = {name: value for name, value in os.environ.items() if name.startswith(OF_PACKAGES)}
        ran = subprocess.run(
            ["nsenter", "--target", str(self._first), *spaces, *shell],
            env={"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **of_packages},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=COMMAND_S,
        )  # fmt: skip
        assert ran.returncode == 0 or not check, f"{script}\n{ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran

    def path(self, name: str) -> Path:
        """Return where a file of the machine can be read and written from outside."""
        return Path(f"/proc/{self._first}/root", name.lstrip("/"))

    def _is_up(self) -> bool:
        assert self._boot
        assert self._boot.poll() is None, (self.folder.parent / f"{self.folder.name}.log").read_text()
        found = _child(_child(self._boot.pid))
        if not found or not _runs_systemd(found):
            return False
        self._first = found
        return self.run("systemctl is-active --quiet sysinit.target", check=False).returncode == 0


def _runs_systemd(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/comm").read_text() == "systemd\n"
    except OSError:
        return False


def _child(process: int) -> int:
    """Return the only child of a process; 0 if it has none."""
    if not process:
        return 0
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0
    return int(found[0]) if found else 0
