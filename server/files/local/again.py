"""Place a file again at a start: a client had its OK, but its bytes or names may not have reached the disk.

The database has the bytes, and no client has changed the file since; `landing` has the theory.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.landing import LandedFile
from ground.files import fsync_folder
from importer.folder import TenantFolder
from server.files.local.leftovers import marked_path, unmark
from server.files.local.placing import Spot
from server.files.local.tree import Tree, open_regular
from server.files.paths import parse_path

GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""The errors of a folder that is gone, or that a file or a link has replaced."""


def place_again(folder: TenantFolder, file: LandedFile) -> None:
    """Give the file its copy and its visible name, durably. Its leftover in staging is removed: it has landed.

    An inode that has the bytes is used, as it knows how they were written. Nothing is at the visible name if a folder
    is there, or if its own folder is gone or a link: then an operator has changed the folder by hand. No link leads
    out of the folder. Blocks. Raises OSError.
    """
    for place in (folder.staging, folder.runs):
        place.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as opened:
        staging, runs = _open(opened, folder.staging), _open(opened, folder.runs)
        targets = [Spot(runs, os.fsencode(folder.run_copy(file.run_id).name)), *_visible(opened, folder, file)]
        left_over = [spot for spot in _marked(folder.staging, staging, file) if _has(spot, file.content)]
        source = next((spot for spot in (*targets[::-1], *left_over) if _has(spot, file.content)), None)
        if source is None:
            left_over.append(source := _written(staging, file))
        _unmark(source)
        for target in targets:
            with suppress(IsADirectoryError):
                if not _has(target, file.content):
                    _link_over(source, target, staging)
                _flush(target)
        fsync_folder(folder.root)
        for target in targets:
            os.fsync(target.folder)
        for left in left_over:
            os.unlink(left.name, dir_fd=staging)


def _open(opened: ExitStack, place: Path) -> int:
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _visible(opened: ExitStack, folder: TenantFolder, file: LandedFile) -> Iterator[Spot]:
    """Yield the visible name, unless its folder is gone."""
    path = parse_path(file.path.encode())
    try:
        tree = Tree(folder.files)
        opened.callback(tree.close)
        above = opened.enter_context(tree.holding(path))
    except OSError as error:
        if error.errno not in GONE:
            raise
    else:
        yield Spot(above, path.name)


def _marked(place: Path, staging: int, file: LandedFile) -> Iterator[Spot]:
    """Yield the unfinished uploads to the path of the file, as far as they have its length."""
    for entry in sorted(place.iterdir()):
        with suppress(OSError):
            if entry.lstat().st_size == len(file.content) and marked_path(entry) == file.path:
                yield Spot(staging, os.fsencode(entry.name))


def _has(spot: Spot, content: bytes) -> bool:
    """Return whether there is a file with these bytes. One that cannot be read does not have them."""
    try:
        with open(open_regular(spot.name, spot.folder), "rb") as found:
            return os.fstat(found.fileno()).st_size == len(content) and found.read() == content
    except OSError:
        return False


def _written(staging: int, file: LandedFile) -> Spot:
    spot = Spot(staging, secrets.token_hex(16).encode())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(spot.name, flags, 0o600, dir_fd=staging), "wb") as new:
        new.write(file.content)
    os.utime(spot.name, ns=(file.changed_ns, file.changed_ns), dir_fd=staging)
    return spot


def _unmark(spot: Spot) -> None:
    fd = open_regular(spot.name, spot.folder)
    try:
        unmark(fd)
    finally:
        os.close(fd)


def _flush(spot: Spot) -> None:
    fd = open_regular(spot.name, spot.folder)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _link_over(source: Spot, target: Spot, staging: int) -> None:
    new = secrets.token_hex(16).encode()
    os.link(source.name, new, src_dir_fd=source.folder, dst_dir_fd=staging, follow_symlinks=False)
    try:
        os.rename(new, target.name, src_dir_fd=staging, dst_dir_fd=target.folder)
    except OSError:
        os.unlink(new, dir_fd=staging)
        raise
