"""The quota: what a tenant's visible files, uploads under way and copies for imports take together, and the limit.

Files and folders count one each, and files by their length (a hole counts: nobody reserves a terabyte for nothing).
What the server itself puts into `/results`, and the folders it made, don't count. The copies that imports wait for,
read or are held with count in bytes, unless they are still a visible file, which counts once. They are not added and
taken off one by one, which could drift, but measured anew whenever a file is opened for writing or lands.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from server.files.contracts import TenantLimits
from server.files.paths import MAX_DEPTH, RESULTS, TEST


@dataclass(slots=True)
class Usage:
    """A running total of one tenant: bytes, and files and folders; and the bytes of `waiting` copies, as measured."""

    size: int = 0
    files: int = 0
    waiting: int = 0

    @property
    def taken(self) -> int:
        """Return the bytes that count against the quota."""
        return self.size + self.waiting

    def reserve(self, size: int, files: int, limits: TenantLimits) -> None:
        """Count `size` more bytes and `files` more files. Raises OSError (EDQUOT), with nothing counted."""
        if files > 0 and self.files + files > limits.quota_files:
            raise _exceeded(f"the folder holds as many files as it may, {limits.quota_files}")
        if size > 0 and self.taken + size > limits.quota_bytes:
            raise _exceeded(
                f"the folder may hold {limits.quota_bytes} bytes, uploads under way included"
                + (f", and {self.waiting} are in files whose imports wait, run or are held" if self.waiting else "")
            )
        self.size += size
        self.files += files

    def add(self, size: int, files: int) -> None:
        """Count what is there already, whatever the limits."""
        self.size += size
        self.files += files

    def release(self, size: int, files: int) -> None:
        """Count `size` bytes and `files` files less."""
        self.size = max(0, self.size - size)
        self.files = max(0, self.files - files)


def check_length(length: int, limits: TenantLimits) -> None:
    """Raise OSError (EDQUOT) if no file may be this long."""
    if length > limits.max_file_bytes:
        raise _exceeded(f"a file may be {limits.max_file_bytes} bytes long")


def _exceeded(sentence: str) -> OSError:
    return OSError(errno.EDQUOT, f"quota exceeded: {sentence}")


@dataclass(slots=True)
class Tree:
    """What a walk found below a folder; `depth` is 0 for an empty one."""

    size: int = 0
    files: int = 0
    depth: int = 0


def measure(folder: int, *, leave_out: tuple[bytes, ...] = ()) -> Tree:
    """Walk the open folder without following links. Blocks: for a thread. What vanishes meanwhile isn't counted."""
    tree = Tree()
    _walk(folder, tree, 1, leave_out)
    return tree


def measure_usage(root: int) -> Usage:
    """The visible part of the quota below the tenant's open root. Blocks."""
    whole = measure(root, leave_out=(RESULTS,))
    made = 1 if _is_folder(root, TEST) else 0
    return Usage(whole.size, whole.files - made)


def measure_copies(copies: Iterable[Path]) -> int:
    """Return the bytes that nothing but `copies` holds: a file with another name counts under that. Blocks.

    Two copies may be one file: the trial of other settings reads the file of an earlier import.
    """
    names: Counter[tuple[int, int]] = Counter()
    found: dict[tuple[int, int], os.stat_result] = {}
    for copy in copies:
        try:
            copied = os.stat(copy, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(copied.st_mode):
            inode = copied.st_dev, copied.st_ino
            names[inode] += 1
            found[inode] = copied
    return sum(copied.st_size for inode, copied in found.items() if copied.st_nlink <= names[inode])


def _walk(folder: int, tree: Tree, depth: int, leave_out: tuple[bytes, ...]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if name in leave_out:
                continue
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                tree.files += 1
                tree.depth = max(tree.depth, depth)
                if stat.S_ISREG(found.st_mode):
                    tree.size += found.st_size
                elif stat.S_ISDIR(found.st_mode) and depth <= MAX_DEPTH:
                    _walk_into(name, folder, tree, depth)
            except FileNotFoundError:
                continue


def _walk_into(name: bytes, folder: int, tree: Tree, depth: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _walk(fd, tree, depth + 1, ())
    finally:
        os.close(fd)


def _is_folder(root: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
