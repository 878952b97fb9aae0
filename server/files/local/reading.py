"""Files and folders that are open for reading."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator

from server.files.disk import Disk
from server.files.files import Named
from server.files.paths import ClientPath


class Reader:
    """One handle open for reading a file, as `server.files.files.Reading`."""

    __slots__ = ("_disk", "fd", "path", "size")

    def __init__(self, path: ClientPath, fd: int, disk: Disk) -> None:
        """`fd` is closed with it."""
        self.path = path
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self._disk = disk

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """See `Reading.read`."""
        wanted = min(size, self.size - offset)
        return self._disk.read(self.fd, offset, wanted) if wanted > 0 else b""

    async def stat(self) -> os.stat_result:
        """Return the facts of the open file as they are now."""
        return os.fstat(self.fd)

    async def set_times(self, times: tuple[int, int]) -> None:
        """Set access and modification time, in nanoseconds since 1970."""
        os.utime(self.fd, ns=times)

    async def flush(self) -> None:
        """Return when the bytes are on disk."""
        await self._disk.in_thread(os.fsync, self.fd)

    async def close(self) -> None:
        os.close(self.fd)


class OpenFolder:
    """One open folder, as `server.files.files.Listed`."""

    def __init__(self, fd: int) -> None:
        """`fd` is closed with it, also if it cannot be read."""
        self._fd = fd
        try:
            self._entries = os.scandir(fd)  # opens another descriptor
        except OSError:
            os.close(fd)
            raise
        self._names = self._all_names()

    async def next(self, count: int) -> list[Named]:
        """Return up to `count` more entries; an empty list at the end."""
        found: list[Named] = []
        for name in self._names:
            try:
                found.append(Named(name, self._facts(name)))
            except FileNotFoundError:
                continue
            if len(found) == count:
                break
        return found

    def close(self) -> None:
        self._entries.close()
        os.close(self._fd)

    def _all_names(self) -> Iterator[bytes]:
        yield b"."
        yield b".."
        for entry in self._entries:
            yield os.fsencode(entry.name)

    def _facts(self, name: bytes) -> os.stat_result:
        # ".." gets the facts of ".": those above the root are private, and elsewhere only the name matters.
        return os.stat(b"." if name == b".." else name, dir_fd=self._fd, follow_symlinks=False)
