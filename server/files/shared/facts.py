"""The facts of a file or folder, of its row. Pure."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from engine.shared.files import Entry

FOLDER_BYTES = 4096
"""The size of a folder, as most file systems say."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A `server.files.files.Stat`."""

    st_mode: int
    st_size: int
    st_atime: float
    st_mtime: float


def facts_of(entry: Entry) -> Facts:
    """Return the facts of an entry."""
    folder = entry.content is None
    return Facts(
        stat.S_IFDIR if folder else stat.S_IFREG,
        FOLDER_BYTES if folder else entry.size,
        entry.accessed / 1e9,
        entry.modified / 1e9,
    )


def facts_if_there(entry: Entry | None) -> Facts | None:
    """Return the facts of an entry; None if nothing is there."""
    return None if entry is None else facts_of(entry)
