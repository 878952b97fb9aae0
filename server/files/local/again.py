"""Place files again at a start: a client had its OK, but their bytes or names may not have reached the disk.

The database has the bytes, and no client has changed the files since; `landing` has the theory.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from engine.landing import LandedFile
from ground.files import fsync_folder
from importer.folder import TenantFolder
from server.files.local.at_once import write_again
from server.files.local.leftovers import marked_path, unmark
from server.files.local.placing import Spot
from server.files.local.tree import Tree, open_regular, stat_if_there
from server.files.paths import parse_path

GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
"""The errors of a folder that is gone, or that a file or a link has replaced."""


def place_again(folder: TenantFolder, files: Sequence[LandedFile]) -> None:
    """Give each file its copy and its visible name, in their order, durably. Its leftover in staging is removed.

    Each file and folder is flushed once, when all have their names: until then, the database has the bytes. An inode
    that has them is used, as it knows how they were written. They are written to it again: a flush of it may have
    failed at an earlier start. Nothing is at the visible name if a folder is there, or if its own folder is gone or a
    link: then an operator has changed the folder by hand. No link leads out of the folder. Blocks. Raises OSError.
    """
    for place in (folder.staging, folder.runs):
        place.mkdir(mode=0o700, exist_ok=True)
    marked = _marked(folder.staging)
    for file in files:
        with ExitStack() as opened:
            staging = _open(opened, folder.staging)
            left_over = [Spot(staging, name) for name in marked.get(file.path, ())]
            _place(file, _targets(opened, folder, file), left_over, staging)
    flushed: set[tuple[int, int]] = set()
    for file in files:
        with ExitStack() as opened:
            for target in _targets(opened, folder, file):
                _flush(target, flushed)
    fsync_folder(folder.root)


def _place(file: LandedFile, targets: Sequence[Spot], marked: Iterable[Spot], staging: int) -> None:
    left_over = [spot for spot in marked if _has(spot, file.content)]
    source = next((spot for spot in (*targets[::-1], *left_over) if _has(spot, file.content, again=True)), None)
    if source is None:
        left_over.append(source := _written(staging, file))
    try:
        _unmark(source)
        for target in targets:
            with suppress(IsADirectoryError):
                if not _is_same(source, target):
                    _link_over(source, target, staging)
    finally:  # it may be tried again every few seconds
        for left in left_over:
            os.unlink(left.name, dir_fd=staging)


def _targets(opened: ExitStack, folder: TenantFolder, file: LandedFile) -> list[Spot]:
    """Return the names of the file: that of its copy, and the visible one unless its folder is gone."""
    runs = _open(opened, folder.runs)
    return [Spot(runs, os.fsencode(folder.run_copy(file.run_id).name)), *_visible(opened, folder, file)]


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


def _marked(staging: Path) -> dict[str, list[bytes]]:
    """Return the names of the unfinished uploads to each path."""
    found: dict[str, list[bytes]] = {}
    for entry in sorted(staging.iterdir()):
        with suppress(OSError):
            found.setdefault(marked_path(entry), []).append(os.fsencode(entry.name))
    return found


def _has(spot: Spot, content: bytes, *, again: bool = False) -> bool:
    """Return whether there is a file with these bytes, to which they could be written `again`.

    One that cannot be read does not have them.
    """
    try:
        with open(open_regular(spot.name, spot.folder), "rb") as found:
            has = os.fstat(found.fileno()).st_size == len(content) and found.read() == content
            if has and again:
                write_again(found.fileno(), content)
                _begin_flush(found.fileno())
            return has
    except OSError:
        return False


def _is_same(one: Spot, other: Spot) -> bool:
    found, there = stat_if_there(one.name, one.folder), stat_if_there(other.name, other.folder)
    return found is not None and there is not None and os.path.samestat(found, there)


def _begin_flush(fd: int) -> None:
    """Begin to write the bytes to the disk; see `AtOnce.begin_keep`."""
    with suppress(OSError):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _written(staging: int, file: LandedFile) -> Spot:
    spot = Spot(staging, secrets.token_hex(16).encode())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(spot.name, flags, 0o600, dir_fd=staging)
    try:
        with open(fd, "wb") as new:
            new.write(file.content)
            new.flush()
            _begin_flush(new.fileno())
        os.utime(spot.name, ns=(file.changed_ns, file.changed_ns), dir_fd=staging)
    except OSError:  # a full disk would get fuller each time that this is tried again
        os.unlink(spot.name, dir_fd=staging)
        raise
    return spot


def _unmark(spot: Spot) -> None:
    fd = open_regular(spot.name, spot.folder)
    try:
        unmark(fd)
    finally:
        os.close(fd)


def _flush(spot: Spot, flushed: set[tuple[int, int]]) -> None:
    """Flush the file and its folder, unless they were."""
    with suppress(IsADirectoryError):
        fd = open_regular(spot.name, spot.folder)
        try:
            _flush_once(fd, flushed)
        finally:
            os.close(fd)
    _flush_once(spot.folder, flushed)


def _flush_once(fd: int, flushed: set[tuple[int, int]]) -> None:
    found = os.fstat(fd)
    if (key := (found.st_dev, found.st_ino)) not in flushed:
        os.fsync(fd)
        flushed.add(key)


def _link_over(source: Spot, target: Spot, staging: int) -> None:
    new = secrets.token_hex(16).encode()
    os.link(source.name, new, src_dir_fd=source.folder, dst_dir_fd=staging, follow_symlinks=False)
    try:
        os.rename(new, target.name, src_dir_fd=staging, dst_dir_fd=target.folder)
    except OSError:
        os.unlink(new, dir_fd=staging)
        raise
