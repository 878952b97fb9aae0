"""The sentences that clients get about names they cannot use: the same wherever the files are. Pure."""

from __future__ import annotations

import errno
import stat

from server.files.files import Stat
from server.files.paths import MAX_DEPTH

INTO_A_HOOK = "files in a moved folder would get no hook; make the folder, then upload or move the files themselves"
NO_LONGER_THERE = "another session removed, moved or replaced the file before it was accepted; send it again"
FOLDER_MOVED = "another session moved or replaced the folder; list it and try again"
THERE_ALREADY = "a file or folder of this name already exists"
IN_THE_WAY = f"{THERE_ALREADY}; remove it or choose another name"
EXISTS = "a file of this name already exists; remove it or choose another name"
MADE_MEANWHILE = "another session made a file of this name; remove it or choose another name"
A_FOLDER = "this is a folder, not a file"
TOO_DEEP = f"a path in it would have more than {MAX_DEPTH} parts; use fewer folders"


def check_regular(found: Stat) -> None:
    """Raise OSError unless `found` are the facts of a regular file."""
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, A_FOLDER)
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.EACCES, "links are not followed; use the path of the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EACCES, "this is not a regular file")


def check_free(there: Stat | None, *, replace: bool) -> None:
    """Raise OSError if a rename may not replace what is there."""
    if there is not None and not replace:
        raise OSError(errno.EEXIST, IN_THE_WAY)


def check_new(there: Stat | None, *, exclusive: bool, sentence: str = EXISTS) -> None:
    """Raise OSError if an upload cannot have the name of what is there, or must not."""
    if there is not None:
        check_regular(there)
        if exclusive:
            raise OSError(errno.EEXIST, sentence)
