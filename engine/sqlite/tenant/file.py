"""The outside look of a users.db file, without opening the database: for many tenants at once."""

from __future__ import annotations

import os

from engine.sqlite.database import newest_version
from ground.files import found_at, look_of

MAGIC = b"SQLite format 3\0"
HEAD, VERSION_AT = 100, 60
"""The header of a SQLite file: https://www.sqlite.org/fileformat.html"""


def looks_like(database: str) -> tuple[object, ...]:
    """Return a value that stays equal until the database at this path is replaced, written or changes its owner."""
    # SQLite creates and empties the -wal as it reads: an empty one counts as none.
    found, log = found_at(database), found_at(f"{database}-wal")
    return (
        found and look_of(found),
        (log.st_ino, log.st_size) if log and log.st_size else None,
        newest_version("tenant"),
    )


def is_plain(database: str) -> bool:
    """Return whether this is a database of this Headcount's schema, all of it in its own file."""
    try:
        file = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.read(file, HEAD)
        finally:
            os.close(file)
    except OSError:
        return False
    log = found_at(f"{database}-wal")
    version = int.from_bytes(head[VERSION_AT : VERSION_AT + 4], "big")
    return head.startswith(MAGIC) and version == newest_version("tenant") and not (log and log.st_size)
