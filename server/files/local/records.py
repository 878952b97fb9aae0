"""Keep the record of how a file was written with its inode, across renames and restarts.

The record is in the extended attribute `user.headcount.written`. On a file system without such attributes it is kept
in memory and lost at the next start. A file without a record is not suspicious.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections import OrderedDict

from importer.model import Written

log = logging.getLogger(__name__)

ATTRIBUTE = "user.headcount.written"
_MOST_IN_MEMORY = 10_000
_UNSUPPORTED = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.ENOSPC, errno.EDQUOT})


def record_at(path: bytes) -> Written | None:
    """Return the record of the file at `path`; None if the file system has none."""
    try:
        return Written.from_json(json.loads(os.getxattr(path, ATTRIBUTE, follow_symlinks=False)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def put_record(fd: int, written: Written) -> None:
    """Keep the record `written` in the file open at `fd`. Raises OSError."""
    os.setxattr(fd, ATTRIBUTE, json.dumps(written.to_json()).encode())


class Memory:
    """The records of all written files, by open descriptor. The server has one."""

    def __init__(self) -> None:
        self._in_memory: OrderedDict[tuple[int, int], Written] = OrderedDict()
        self._warned = False

    def keep(self, fd: int, written: Written) -> None:
        """Keep the record `written` with the file open at `fd`."""
        try:
            put_record(fd, written)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._keep_here(fd, written)

    def recall(self, fd: int) -> Written | None:
        """Return the record of the file open at `fd`; None if there is none."""
        try:
            return Written.from_json(json.loads(os.getxattr(fd, ATTRIBUTE)))
        except (OSError, ValueError, KeyError, TypeError):
            found = os.fstat(fd)
            return self._in_memory.get((found.st_dev, found.st_ino))

    def _keep_here(self, fd: int, written: Written) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "The file system has no extended attributes: a restart loses the records of how files were written.",
                extra={"event": "no_extended_attributes"},
            )
        found = os.fstat(fd)
        self._in_memory[found.st_dev, found.st_ino] = written
        while len(self._in_memory) > _MOST_IN_MEMORY:
            self._in_memory.popitem(last=False)
