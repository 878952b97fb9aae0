"""The open folders in which files of one tenant have names that may not be on the disk: one descriptor a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

Folder = tuple[int, int]
"""Device and inode."""


@dataclass(slots=True)
class _Held:
    fd: int
    files: int = 0


class KeptFolders:
    """Folders that stay open while files need them, whatever their paths are meanwhile. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Folder, _Held] = {}

    def hold(self, found: os.stat_result, opened: Callable[[], int]) -> Folder:
        """Hold the folder `found` for one more file; `opened` opens it if it is not held. Raises OSError."""
        folder = found.st_dev, found.st_ino
        with self._lock:
            held = self._held.get(folder)
            if held is None:
                held = self._held[folder] = _Held(opened())
            held.files += 1
        return folder

    def flush(self, folder: Folder) -> None:
        """Bring the names in a folder that is held to the disk. Blocks. Raises OSError."""
        os.fsync(self._held[folder].fd)

    def release(self, folder: Folder) -> None:
        """Let go of the folder for one file."""
        with self._lock:
            held = self._held[folder]
            held.files -= 1
            if not held.files:
                del self._held[folder]
                os.close(held.fd)
