"""The quota of a tenant: visible files, unfinished uploads and copies for imports together, against the limit.

Each file and folder counts as one. Files also count by their length, holes included: a sparse terabyte is a terabyte.
Files that the server writes to `/results`, and the folders that it makes, do not count. Copies of queued, running and
held imports, and of queued and running runs of hooks, count in bytes. A copy that is still a visible file counts
once. Copies are not added and subtracted one by one, because that could drift: they are measured again when a file is
opened for writing and when one lands. Many copies are measured less often, and never counted too low meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from server.files.contracts import TenantLimits
from server.files.paths import MAX_DEPTH, RESULTS, TEST


@dataclass(slots=True)
class Usage:
    """A running total of one tenant: bytes, files and folders, and the newest measured bytes of `waiting` copies.

    `many`: the copies are so many that they are not measured at every upload.
    """

    size: int = 0
    files: int = 0
    waiting: int = 0
    many: bool = False

    @property
    def taken(self) -> int:
        """Return the bytes that count against the quota."""
        return self.size + self.waiting

    def reserve(self, size: int, files: int, limits: TenantLimits) -> None:
        """Count `size` more bytes and `files` more files. Raises OSError (EDQUOT), with nothing counted."""
        if files > 0 and self.files + files > limits.quota_files:
            raise _exceeded(f"at most {limits.quota_files:,} files and folders are allowed; delete some")
        if size > 0 and self.taken + size > limits.quota_bytes:
            raise _exceeded(
                f"at most {limits.quota_bytes:,} bytes are allowed, including unfinished uploads"
                + (f" and {self.waiting:,} bytes of files that are queued, running or held" if self.waiting else "")
                + "; delete files"
            )
        self.size += size
        self.files += files

    def add(self, size: int, files: int) -> None:
        """Count existing bytes and files, without checking the limits."""
        self.size += size
        self.files += files

    def release(self, size: int, files: int) -> None:
        """Count `size` bytes and `files` files less."""
        self.size = max(0, self.size - size)
        self.files = max(0, self.files - files)

    def remove(self, size: int, files: int) -> None:
        """Count a visible file of `size` bytes less. If there are many copies, one may be its own: its bytes stay."""
        self.release(size, files)
        if self.many:
            self.waiting += size


def check_length(length: int, limits: TenantLimits) -> None:
    """Raise OSError (EDQUOT) if `length` is more bytes than a file may have."""
    if length > limits.max_file_bytes:
        raise _exceeded(f"a file may have at most {limits.max_file_bytes:,} bytes; send a smaller one")


def _exceeded(sentence: str) -> OSError:
    return OSError(errno.EDQUOT, f"quota exceeded: {sentence}")


@dataclass(slots=True)
class Tree:
    """The result of a walk below a folder. `depth` is 0 for an empty folder."""

    size: int = 0
    files: int = 0
    depth: int = 0


def measure(folder: int, *, leave_out: tuple[bytes, ...] = ()) -> Tree:
    """Walk the open folder without following links. A file that vanishes meanwhile does not count. Blocks."""
    tree = Tree()
    _walk(folder, tree, 1, leave_out)
    return tree


def measure_usage(root: int, fixed: Collection[tuple[bytes, ...]] = ()) -> Usage:
    """Measure the visible part of the quota below the tenant's open root. Blocks.

    `fixed`: the folders of hooks. They are there, and do not count.
    """
    whole = measure(root, leave_out=(RESULTS,))
    made = 1 if _is_folder(root, TEST) and (TEST,) not in fixed else 0
    return Usage(whole.size, whole.files - made - len(fixed))


def measure_copies(copies: Iterable[Path]) -> int:
    """Return the bytes of files that have no name except in `copies`; others count by their visible name. Blocks.

    Two copies may be one file: a dry run with other settings reads the file of an earlier import.
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
