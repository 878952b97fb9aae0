"""Run a program as process 1 on a copy of the root of this machine: `machine_boot.py FOLDER PROGRAM ARGUMENT...`.

FOLDER is empty, and the place of the copy: an overlay in memory. The exit code is that of the program. SIGTERM, or
the death of the parent, ends the program, and then this process. All mounts, processes and control groups are then
gone. Only `tests.support.machine` runs it, as root.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
OF_THE_KERNEL = {"CAP_SYS_MODULE": 16, "CAP_SYS_RAWIO": 17, "CAP_SYS_TIME": 25}
"""Capabilities over what both machines share: the kernel, the hardware and the clock."""
PIVOT_ROOT = {"x86_64": 155}.get(platform.machine(), 41)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
OF_THE_NETWORK = ("etc/hosts", "etc/resolv.conf")
"""Files that may be mounts or links into /run, which the copy does not have."""
END_S = 60

LIBC = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    """Raise OSError if a call of the C library has failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def reach_first_root() -> None:
    """Go to the root of the mount namespace. It is another one than `/` in a chroot."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    checked(LIBC.setns(own, CLONE_NEWNS))
    os.close(own)


def stand_apart() -> None:
    """Enter a new mount namespace, whose mounts no other process sees."""
    checked(LIBC.unshare(CLONE_NEWNS))
    root = os.open("/", os.O_RDONLY)
    reach_first_root()
    checked(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    os.fchdir(root)
    os.chroot(".")
    os.close(root)


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    checked(LIBC.prctl(PR_SET_PDEATHSIG, by.value, 0, 0, 0))


def code_of(child: int) -> int:
    """Wait for a child, and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_group(group: Path) -> None:
    """Kill all processes in a control group, and remove it. A killed process leaves it only after a moment."""
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + END_S
    while True:
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                os.rmdir(folder)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def make_root(place: Path) -> Path:
    """Mount the copy with its own devices, processes and control groups, and return its folder."""
    disk = place / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(disk))
    root, changed, work = (disk / name for name in ("root", "changed", "work"))
    for folder in (root, changed, work):
        folder.mkdir()
    mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={changed},workdir={work}", "overlay", str(root))
    for name in OF_THE_NETWORK:
        with suppress(FileNotFoundError):
            text = Path("/", name).read_bytes()
            (root / name).unlink(missing_ok=True)
            (root / name).write_bytes(text)
    for name in ("run", "dev"):
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / name))
    # A boot empties /tmp. In the overlay, each file there is one more to mark as gone: a minute, with many of them.
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "tmp"))
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", str(root / "dev" / name))
    for name in ("dev/shm", "dev/pts"):
        (root / name).mkdir()
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(root / "dev/shm"))
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", str(root / "dev/pts"))
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    mount("-t", "proc", "proc", str(root / "proc"))
    # The settings of the kernel are those of this machine too, and systemd sets some at a boot.
    mount("--bind", str(root / "proc/sys"), str(root / "proc/sys"))
    mount("-o", "remount,bind,ro", str(root / "proc/sys"))
    # A unit with users of its own may mount /proc only where a whole one is visible, without such a mount over it.
    (root / "run/host/proc").mkdir(parents=True)
    mount("-t", "proc", "proc", str(root / "run/host/proc"))
    mount("-t", "sysfs", "-o", "ro", "sysfs", str(root / "sys"))
    mount("-t", "cgroup2", "cgroup2", str(root / "sys/fs/cgroup"))
    return root


def change_root(root: Path) -> None:
    """Make `root` the root of this mount namespace, and detach the former one.

    A chroot is not enough: the kernel refuses to make user namespaces in it.
    """
    new = os.open(root, os.O_RDONLY)
    reach_first_root()
    os.fchdir(new)
    os.close(new)
    checked(LIBC.syscall(PIVOT_ROOT, b".", b"."))
    checked(LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/")


def start(place: Path, group: Path, program: list[str]) -> int:
    """Run the program as process 1 in the control group, and return its exit code."""
    die_with_parent()
    (group / "cgroup.procs").write_text("0")
    new = CLONE_NEWCGROUP | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    checked(LIBC.unshare(new))
    if child := os.fork():
        return code_of(child)
    die_with_parent()
    change_root(make_root(place))
    for number in OF_THE_KERNEL.values():
        checked(LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0))
    return os.execve(program[0], program, {"container": "test", "PATH": os.defpath})


def main(place: Path, program: list[str]) -> int:
    """Run the program, and return its exit code; a negative one is that of a signal."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    os.umask(0o022)  # the users of the machine must reach its root
    die_with_parent(signal.SIGTERM)
    stand_apart()
    groups = place / "groups"
    groups.mkdir()
    mount("-t", "cgroup2", "cgroup2", str(groups))
    group = groups / f"headcount-test-{os.getpid()}"
    group.mkdir()
    if not (child := os.fork()):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return start(place, group, program)
    try:
        return code_of(child)
    finally:
        end_group(group)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
