"""How a file is put at a hook's path so that it is on disk, and can be taken back until the hook has it.

Theory. `landing` says why a file lands in these steps; here is what they do to the disk. Four names take part, all of
them hard links, so that no bytes move and no name can change what another one shows: the source in staging, the copy
that the hook will read, a backup of the old file in staging, and the target, which clients see.

`place` makes each before something relies on it. The copy is on disk before the target shows the file, because
start-up knows a published file by its copy. The backup is made before the rename, which takes the last name from the
old file. The rename is the one step that clients see, and atomic. The backup is not fsynced: it serves a failure that
this process lives to see. After a crash nothing is taken back: the copy tells then whether the rename happened.

`take_back` goes the other way, the target first. With the copy first, a crash in between would leave the new file
visible and its copy gone: it looks published and is never imported. The flags say how far `place` came, so `place`
may fail at any step, and `take_back` may be called twice.

Whatever fails, the old file is at the path again. All of it blocks: for a thread. The caller holds the landing lock,
so no rename or removal changes the target between `place` and `settle`.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.files.tree import check_regular, stat_if_there


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder."""

    folder: int
    name: bytes


class Placement:
    """Moves the file at `source`, a name in staging of its own, to `target`, with a hard link at `copy`.

    Taken back, it has none of these names.
    """

    def __init__(self, source: Spot, target: Spot, copy: Path, staging: int) -> None:
        self._source = source
        self._target = target
        self._copy = copy
        self._staging = staging
        self._backup: bytes | None = None
        self._copied = self._placed = False
        self.replaced: os.stat_result | None = None

    def place(self) -> None:
        """Do it. When it returns, copy and name are on disk; when it raises OSError, all is as it was."""
        try:
            self._place()
        except BaseException:
            self.take_back()
            raise

    def take_back(self) -> None:
        """Undo what was done: the old file, or none, is at the target, and there is no copy."""
        if self._placed:
            if self._backup is not None:
                self._rename(Spot(self._staging, self._backup), self._target)
            else:
                os.unlink(self._target.name, dir_fd=self._target.folder)
            self._placed = False
        if self._copied:
            self._copy.unlink(missing_ok=True)
            self._copied = False
        self._drop_backup()
        with suppress(OSError):  # the disk that failed us may fail here too; a restart finds no copy and says so
            os.fsync(self._target.folder)

    def settle(self) -> None:
        """The hook has it: nothing is taken back any more."""
        self._drop_backup()

    def _place(self) -> None:
        self.replaced = stat_if_there(self._target.name, self._target.folder)
        if self.replaced is not None:
            check_regular(self.replaced)
        os.link(self._source.name, self._copy, src_dir_fd=self._source.folder, follow_symlinks=False)
        self._copied = True
        _sync_path(self._copy.parent)
        if self.replaced is not None:
            self._backup = secrets.token_hex(16).encode()
            os.link(
                self._target.name,
                self._backup,
                src_dir_fd=self._target.folder,
                dst_dir_fd=self._staging,
                follow_symlinks=False,
            )
        self._rename(self._source, self._target)
        self._placed = True
        os.fsync(self._target.folder)

    def _drop_backup(self) -> None:
        if self._backup is not None:
            with suppress(FileNotFoundError):  # never made, or put back
                os.unlink(self._backup, dir_fd=self._staging)
            self._backup = None

    @staticmethod
    def _rename(source: Spot, target: Spot) -> None:
        os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)


def _sync_path(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
