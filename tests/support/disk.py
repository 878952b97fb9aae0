"""Record the server's calls to the disk in order: every fsync, hard link and rename is made and recorded."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.files.hooks import Arrival, Upload
from tests.support.sftp import HeardHook

Step = tuple[str, int | None]


class DiskLog:
    """A log of calls. `steps` has each call that succeeded with its inode, and the calls of the hook in between.

    For a link or rename, the inode is that of the folder with the new name.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hook: HeardHook | None = None) -> None:
        self.steps: list[Step] = []
        for name, inode in (("fsync", _synced), ("link", _folder_of_the_new), ("rename", _folder_of_the_new)):
            monkeypatch.setattr(os, name, self._noting(name, getattr(os, name), inode))
        for name in ("arriving", "landed", "failed") if hook else ():
            monkeypatch.setattr(hook, name, self._heard(name, getattr(hook, name)))

    def of(self, **inodes: Path) -> list[str]:
        """Return the steps that touched one of `inodes`, such as `fsync uploads`, and the calls of the hook."""
        names = {os.stat(path).st_ino: name for name, path in inodes.items()}
        kept = [(what, "" if inode is None else names.get(inode)) for what, inode in self.steps]
        return [f"{what} {name}".strip() for what, name in kept if name is not None]

    def _noting(self, name: str, real: Callable[..., None], inode: Callable[..., int]) -> Callable[..., None]:
        def noting(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            self.steps.append((name, inode(*args, **kwargs)))

        return noting

    def _heard(self, name: str, real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def heard(upload: Upload, *more: Arrival | str) -> Any:
            self.steps.append((name, None))
            return await real(upload, *more)

        return heard


def _synced(fd: int) -> int:
    return os.fstat(fd).st_ino


def _folder_of_the_new(_: object, new: Any, **where: Any) -> int:
    folder = where.get("dst_dir_fd")
    return (os.stat(Path(new).parent) if folder is None else os.fstat(folder)).st_ino
