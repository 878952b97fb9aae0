"""Measure what counts against the quota of a tenant: its visible files, and the copies that imports need.

Copies are not added and subtracted one by one, because that could drift: they are measured again when a file is
opened for writing, and when one lands after a file was removed or replaced. Many copies are measured less often, and
never counted too low meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from server.files.limits import Usage
from server.files.paths import MAX_DEPTH, RESULTS, TEST


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
