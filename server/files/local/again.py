"""Place a file again at a start: a client had its OK, but its bytes or names may not have reached the disk.

The database has the bytes, and no client has changed the file since; `landing` has the theory.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.landing import LandedFile
from ground.files import fsync_folder
from importer.folder import TenantFolder
from server.files.local.leftovers import marked_path, unmark


def place_again(folder: TenantFolder, file: LandedFile) -> None:
    """Give the file its copy and its visible name, durably. Its leftover in staging is removed: it has landed.

    An inode that has the bytes is used, as it knows how they were written. Nothing is at the visible name if a folder
    is there, or if its own folder is gone: then an operator has changed the folder by hand. Blocks. Raises OSError.
    """
    copy, visible = folder.run_copy(file.run_id), folder.visible(file.path)
    for place in (folder.staging, folder.runs):
        place.mkdir(mode=0o700, exist_ok=True)
    left_over = [path for path in _marked(folder.staging, file) if _has(path, file.content)]
    source = next((path for path in (visible, copy, *left_over) if _has(path, file.content)), None)
    if source is None:
        left_over.append(source := _written(folder.staging, file))
    unmark(source)
    for target in (copy, visible):
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            if not _has(target, file.content):
                _link_over(source, target, folder.staging)
            _flush(target)
    for place in (folder.root, copy.parent, visible.parent):
        with suppress(FileNotFoundError, NotADirectoryError):
            fsync_folder(place)
    for left in left_over:
        left.unlink()


def _marked(staging: Path, file: LandedFile) -> Iterator[Path]:
    """Yield the unfinished uploads to the path of the file, as far as they have its length."""
    for entry in sorted(staging.iterdir()):
        with suppress(OSError):
            if entry.lstat().st_size == len(file.content) and marked_path(entry) == file.path:
                yield entry


def _has(path: Path, content: bytes) -> bool:
    """Return whether there is a file with these bytes."""
    try:
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == len(content) and path.read_bytes() == content
    except (FileNotFoundError, NotADirectoryError):
        return False


def _written(staging: Path, file: LandedFile) -> Path:
    path = staging / secrets.token_hex(16)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as new:
        new.write(file.content)
    os.utime(path, ns=(file.changed_ns, file.changed_ns))
    return path


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _link_over(source: Path, target: Path, staging: Path) -> None:
    new = staging / secrets.token_hex(16)
    os.link(source, new, follow_symlinks=False)
    try:
        new.rename(target)
    except OSError:
        new.unlink()
        raise
