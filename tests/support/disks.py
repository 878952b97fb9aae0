"""Disks for tests: small ones that can be filled, and ones that fail. Only root can mount them.

They are mounted in a namespace of the test process, which `stand_apart()` makes. The kernel unmounts them when the
last process of the run ends, even if it is killed.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def stand_apart() -> bool:
    """Hide the mounts of this process and its children from all other processes. Return False if that is not allowed.

    It is not allowed if the root of the process is not a mount point (chroot). Then a killed run leaves its disks.

    Call it before there are threads: running threads stay in the old namespace.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0)


def root_is_mounted() -> bool:
    """Return whether the root of this process is a mount point; the root of a chroot is not."""
    return any(line.split()[4] == "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())


def can_mount(disk: Callable[[Path], AbstractContextManager[Path]]) -> bool:
    """Return whether this process can mount such a disk."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk(Path(folder) / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


@contextmanager
def small_disk(place: Path, mebibytes: int = 24) -> Iterator[Path]:
    """Mount a file system in memory at `place`, a folder that is made."""
    place.mkdir(mode=0o700, parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(place))
    try:
        yield place
    finally:
        _run("umount", "--lazy", str(place))


@contextmanager
def bare_disk(place: Path) -> Iterator[Path]:
    """Mount a file system without extended attributes at `place`, a folder that is made."""
    place.mkdir(mode=0o700, parents=True)
    _run("mount", "-t", "ramfs", "-o", "mode=700", "ramfs", str(place))
    try:
        yield place
    finally:
        _run("umount", "--lazy", str(place))


@contextmanager
def ext4_disk(place: Path, mebibytes: int = 32, options: tuple[str, ...] = ()) -> Iterator[Path]:
    """Mount an ext4 file system at `place`, a folder that is made; its image is a file beside it.

    `options` are those of mkfs.ext4.
    """
    place.mkdir(mode=0o700, parents=True)
    image = place.with_name(f"{place.name}.img")
    with image.open("wb") as file:
        file.truncate(mebibytes * 1024**2)
    _run("mkfs.ext4", "-q", *options, str(image))
    with mounted(image, place):
        place.chmod(0o700)
        yield place


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount the file system in `image` at `place`, a folder that is made if needed."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        _run("umount", "--lazy", str(place))


def fail(place: Path) -> None:
    """Make the ext4 file system at `place` read-only, as ext4 does after a fault of the disk."""
    _run("mount", "-o", "remount,abort", str(place))
    with pytest.raises(OSError, match="Read-only"):
        (place / "changed").touch()


def fill(folder: Path) -> Path:
    """Fill the disk of `folder` to the last byte; return the file that does."""
    filler = folder / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (1024**2, 4096, 1):
            with suppress(OSError):
                while True:
                    os.write(file, b"x" * size)
    finally:
        os.close(file)
    return filler


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
