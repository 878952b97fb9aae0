"""Put a file at a hook's path, durably, so that this can be undone until the hook has queued it.

Theory. `landing` explains the order of the steps; this module does them on disk. Four names take part: the source in
staging, the copy that the hook reads, a backup of the old file in staging, and the target, which clients see. All are
hard links, so no bytes move and no name can change the content of another.

`copy` comes before `move`, so that each name is made before another step relies on it. The copy is on disk before the
target shows the file: start-up recognizes a published file by its copy. If start-up has the bytes anyway, `link`,
`prepare` and `rename` do the same without a flush. The backup is made before the rename, which removes the last name
of the old file. The rename is the only step that clients see, and it is atomic. The backup is not fsynced: only this
process uses it. After a crash nothing is undone: the copy then shows whether the rename happened.

`undo` goes the other way, target first. With the copy first, a crash in between would leave the new file visible
without a copy: it would look published and would never be imported. Flags record how far the others got, so they may
fail at any step, and `undo` may be called twice.

After `undo` the old file is at the path again. Every method blocks: call it in a thread. The caller holds the landing
lock, so no rename or removal changes the target between `move` and `settle`.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ground.files import fsync_folder
from server.files.local.tree import stat_if_there
from server.files.sentences import check_regular


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder."""

    folder: int
    name: bytes


class Placement:
    """Moves the file at `source`, a name in staging that only it uses, to `target`, and gives it a hard link.

    After `undo` the file has none of these names.
    """

    def __init__(self, source: Spot, target: Spot, staging: int) -> None:
        self._source = source
        self._target = target
        self._staging = staging
        self._backup: bytes | None = None
        self._copied: Path | None = None
        self._placed = False
        self.replaced: os.stat_result | None = None

    def copy(self, path: Path) -> None:
        """Give the file the name `path` too. It is on disk on return. Raises OSError."""
        self.link(path)
        fsync_folder(path.parent)

    def link(self, path: Path) -> None:
        """Give the file the name `path` too. Raises OSError."""
        os.link(self._source.name, path, src_dir_fd=self._source.folder, follow_symlinks=False)
        self._copied = path

    def move(self) -> None:
        """Move the file to the target, and keep a backup of the old one. It is on disk on return. Raises OSError."""
        self.prepare()
        self.rename()
        os.fsync(self._target.folder)

    def prepare(self) -> None:
        """Keep a backup of the old file at the target. Raises OSError if no file can be moved there."""
        self.replaced = stat_if_there(self._target.name, self._target.folder)
        if self.replaced is not None:
            check_regular(self.replaced)
            self._backup = secrets.token_hex(16).encode()
            os.link(
                self._target.name,
                self._backup,
                src_dir_fd=self._target.folder,
                dst_dir_fd=self._staging,
                follow_symlinks=False,
            )

    def rename(self) -> None:
        """Move the file to the target, after `prepare`. Raises OSError."""
        self._rename(self._source, self._target)
        self._placed = True

    def undo(self) -> None:
        """Set the target back to the old file, or to none, and remove the copy."""
        if self._placed:
            if self._backup is not None:
                self._rename(Spot(self._staging, self._backup), self._target)
            else:
                os.unlink(self._target.name, dir_fd=self._target.folder)
            self._placed = False
        if self._copied is not None:
            self._copied.unlink(missing_ok=True)
            self._copied = None
        self._drop_backup()
        with suppress(OSError):  # the disk may fail here too; the next start finds no copy and reports it
            os.fsync(self._target.folder)

    def settle(self) -> None:
        """Drop the backup once the hook has queued the file: `undo` is no longer possible."""
        self._drop_backup()

    def _drop_backup(self) -> None:
        if self._backup is not None:
            with suppress(FileNotFoundError):  # never made, or renamed by `undo`
                os.unlink(self._backup, dir_fd=self._staging)
            self._backup = None

    @staticmethod
    def _rename(source: Spot, target: Spot) -> None:
        os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
