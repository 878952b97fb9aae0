"""How many bytes a folder takes on its disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the block size of the disk."""


def bytes_below(root: Path) -> int:
    """Return the bytes on disk of the folder at `root` and everything in it. Blocks.

    A file with several names counts once. Symbolic links are not followed. Files deleted meanwhile are not counted.
    """
    total, seen, folders = 0, set[tuple[int, int]](), [str(root)]
    while folders:
        for path, found in _entries(folders.pop()):
            if stat.S_ISDIR(found.st_mode):
                folders.append(path)
            elif found.st_nlink > 1:
                if (found.st_dev, found.st_ino) in seen:
                    continue
                seen.add((found.st_dev, found.st_ino))
            total += found.st_blocks * BLOCK_BYTES
    return total


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False)
