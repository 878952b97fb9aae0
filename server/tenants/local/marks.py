"""The marks of a data folder: a small file each."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ground.files import fsync_folder, replace_file


class FileMarks:
    """An `engine.marks.MarkStore` in a folder. Its methods also raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def has(self, name: str) -> bool:
        """Return whether there is a file of this name, whatever it is. Does not suspend."""
        try:
            os.lstat(self._folder / name)
        except FileNotFoundError:
            return False
        return True

    async def find(self, name: str) -> str | None:
        return await asyncio.to_thread(_text_in, self._folder / name)

    async def put(self, name: str, text: str) -> None:
        await asyncio.to_thread(replace_file, self._folder / name, f"{text}\n".encode())

    async def add(self, name: str, text: str) -> bool:
        """Store a mark if there is none. The caller holds the lock of the data folder."""
        if await self.has(name):
            return False
        await self.put(name, text)
        return True

    async def swap(self, name: str, old: str, new: str | None) -> bool:
        """Replace or remove a mark with the text `old`. The caller holds the lock of the data folder."""
        if await self.find(name) != old:
            return False
        await (self.drop(name) if new is None else self.put(name, new))
        return True

    async def drop(self, name: str) -> None:
        await asyncio.to_thread(_remove, self._folder / name)


def _text_in(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    fsync_folder(file.parent)
