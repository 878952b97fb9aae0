"""A machine of `tests.support.machine` changes nothing on the one that it runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clients import MACHINE, needs
from tests.support.machine import BOOT, Machine
from tests.support.machine_boot import OF_THE_KERNEL
from tests.support.waiting import wait_until

pytestmark = needs("systemctl", MACHINE)

OWNER = """
import subprocess, sys

boot = subprocess.Popen([sys.executable, "-I", *sys.argv[1:]])
print(boot.pid, flush=True)
boot.wait()
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with Machine(tmp_path_factory.mktemp("machine") / "booted") as machine:
        yield machine


def test_a_machine_leaves_nothing_behind(tmp_path: Path) -> None:
    with Machine(tmp_path / "other") as other:
        other.run("useradd headcount-of-a-test; touch /etc/headcount-of-a-test")
        assert other.path("/etc/headcount-of-a-test").exists()
    assert not Path("/etc/headcount-of-a-test").exists()
    assert "headcount-of-a-test" not in Path("/etc/passwd").read_text(encoding="utf-8")


def test_a_machine_cannot_change_the_kernel(machine: Machine) -> None:
    assert machine.run("test -w /proc/sys/kernel/core_pattern", check=False).returncode == 1
    assert machine.run("systemctl is-active systemd-sysctl", check=False).stdout == "inactive\n"
    (bounds,) = machine.run("grep CapBnd /proc/1/status | cut -f 2").stdout.split()
    assert not any(int(bounds, 16) & 1 << number for number in OF_THE_KERNEL.values())


def test_a_machine_boots_without_looking_at_the_files_in_tmp_of_this_one(machine: Machine) -> None:
    assert machine.run("findmnt --noheadings --output FSTYPE /tmp").stdout == "tmpfs\n"


def test_a_machine_asks_the_same_servers_for_names(machine: Machine) -> None:
    copied = machine.path("/etc/resolv.conf")
    assert not copied.is_symlink()
    assert copied.read_bytes() == Path("/etc/resolv.conf").read_bytes()


def test_a_machine_whose_owner_is_killed_ends_and_leaves_no_control_group(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, BOOT, tmp_path, "/bin/sleep", "1000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        boot = int(owner.stdout.readline())
        groups = Path(f"/proc/{boot}/root{tmp_path}/groups")
        members = groups / f"headcount-test-{boot}" / "cgroup.procs"
        wait_until(lambda: "sleep" in _names_in(members), what="the program to start")
        seen = os.open(groups, os.O_RDONLY | os.O_DIRECTORY)
        try:
            inside = [int(process) for process in members.read_text().split()]
            owner.send_signal(signal.SIGKILL)
            wait_until(lambda: not Path(f"/proc/{boot}").exists(), what="the boot program to end")
            assert [name for name in os.listdir(seen) if name == members.parent.name] == []
            # The process that inherits them buries them in a moment.
            wait_until(lambda: not any(map(_exists, inside)), what="all processes to end")
        finally:
            os.close(seen)


def _exists(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _names_in(members: Path) -> list[str]:
    """Return the names of the processes of a control group."""
    try:
        return [Path(f"/proc/{process}/comm").read_text().strip() for process in members.read_text().split()]
    except OSError:
        return []
