"""A draft: a file that is being written. It is an inode in a folder of the server, which no listing shows.

This module does not know hooks or the protocol. Every function raises OSError with a message for the client.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ground.files import link
from server.files.disk import Disk
from server.files.files import Limits
from server.files.limits import Usage, check_length
from server.files.paths import ClientPath
from server.files.written import Trace

SHORT = 16 * 1024
"""Bytes. Up to this many are written on the event loop, because a thread would cost more."""

_SLICE = 64 * 1024 * 1024


class Draft:
    """One handle open for writing, as `server.files.files.Writing`.

    `exclusive`: it may not replace a file. `times`: access and modification time that the client set, in nanoseconds.
    """

    __slots__ = (
        "_disk", "_limits", "_staging", "_usage", "append", "changed", "counted", "exclusive", "failure", "fd",
        "name", "path", "readable", "removed", "size", "times", "trace",
    )  # fmt: skip

    def __init__(
        self, path: ClientPath, staging: int, usage: Usage, limits: Limits, disk: Disk, *, new: bool
    ) -> None:
        """Make an empty draft for `path`, as a file in the open folder `staging`.

        `new`: the path does not exist yet, so the draft counts as a file.
        """
        self.path = path
        self.counted = 1 if new else 0
        self.append = False
        self.exclusive = False
        self.readable = False
        self.changed = False
        self.removed = False
        self.failure: str | None = None
        self.times: tuple[int, int] | None = None
        self.size = 0
        self.trace = Trace()
        self._disk = disk
        self._limits = limits
        self._usage = usage
        self._staging = staging
        usage.reserve(0, self.counted, limits())
        self.name = secrets.token_hex(16).encode()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.fd = os.open(self.name, flags, 0o600, dir_fd=staging)
        except OSError:
            usage.release(0, self.counted)
            raise

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """See `Writing.read`."""
        wanted = min(size, self.size - offset)
        return self._disk.read(self.fd, offset, wanted) if wanted > 0 else b""

    def write(self, offset: int, data: bytes, *, at_once: bool = False) -> int | Awaitable[int]:
        """Write all of `data` at `offset`, or at the end if the draft was opened for appending.

        Writes more than `SHORT` bytes in a thread, because a slow disk blocks the writer, unless `at_once`; the
        caller must not use the draft meanwhile. After a write that failed, nothing more is written and the draft is
        not published.
        """
        if len(data) > SHORT and not at_once:
            return self._write_in_thread(offset, data)
        with self._writing(offset, data) as place:
            _write_all(self.fd, data, place)
        return len(data)

    async def _write_in_thread(self, offset: int, data: bytes) -> int:
        with self._writing(offset, data) as place:
            await self._disk.in_thread(_write_all, self.fd, data, place)
        return len(data)

    @contextmanager
    def _writing(self, offset: int, data: bytes) -> Iterator[int]:
        """Wrap the writing of `data`; yield the offset to write at."""
        if self.failure is not None:
            raise OSError(errno.EIO, f"an earlier write failed: {self.failure}")
        place = self.size if self.append else offset
        try:
            if data:
                self._grow_to(place + len(data))
            yield place
        except OSError as error:
            self.failure = error.strerror or str(error)
            raise
        if data:
            self.changed = True
            self.trace.wrote(place, len(data))

    async def resize(self, size: int) -> None:
        """Cut or extend to `size` bytes. Counts as a change even if the length stays the same."""
        try:
            self._grow_to(size)
            os.ftruncate(self.fd, size)
        except OSError as error:
            self.failure = error.strerror or str(error)
            raise
        if size < self.size:
            self._usage.release(self.size - size, 0)
            self.size = size
        self.changed = True

    async def fill(self, source: BinaryIO) -> None:
        """Copy all of an open file into the empty draft. The bytes are counted before they are copied."""
        await self.copy_in(source.fileno())

    async def copy_in(self, source: int) -> None:
        """Copy the file open at `source` as `fill` does."""
        size = os.fstat(source).st_size
        check_length(size, self._limits())
        self._usage.reserve(size, 0, self._limits())
        self.size = size
        await self._disk.in_thread(copy_contents, source, self.fd, size)

    async def link(self, path: Path) -> None:
        """Give the file the name `path` too. The name is on disk on return."""
        await self._disk.in_thread(link, self.name, path, self._staging)

    async def sha256(self) -> str:
        """Return the SHA-256 of all bytes, in hexadecimal."""
        return await self._disk.in_thread(_sha256_of, self.fd)

    async def set_times(self, times: tuple[int, int]) -> None:
        """Set access and modification time, in nanoseconds since 1970."""
        self.times = times
        os.utime(self.fd, ns=times)

    async def stat(self) -> os.stat_result:
        """Return the facts of the draft as it is now."""
        return os.fstat(self.fd)

    async def flush(self) -> None:
        """Return when all bytes are on disk."""
        await self._disk.in_thread(os.fsync, self.fd)

    def drop(self) -> None:
        """Discard the written bytes and release their quota. Raises nothing but for a closed draft."""
        try:
            with suppress(OSError):  # a publication that failed removed it; or the disk fails, and a start does
                os.unlink(self.name, dir_fd=self._staging)
        finally:
            self._disk.close_later(self.fd)
            self._usage.release(self.size, self.counted)

    def published(self, replaced: os.stat_result | None) -> None:
        """Count the draft as a visible file that replaced `replaced`, and close it."""
        os.close(self.fd)
        if replaced is not None:
            self._usage.remove(replaced.st_size, self.counted)
        elif not self.counted:
            self._usage.files += 1

    def _grow_to(self, size: int) -> None:
        if size > self.size:
            limits = self._limits()
            check_length(size, limits)
            self._usage.reserve(size - self.size, 0, limits)
            self.size = size


def _write_all(fd: int, data: bytes, offset: int) -> None:
    written = os.pwrite(fd, data, offset) if data else 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], offset + written)


def copy_contents(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes of an open file into an empty one, sharing blocks where possible. Blocks."""
    done = 0
    try:
        while done < size:
            copied = os.copy_file_range(source, target, min(size - done, _SLICE), done, done)
            if copied == 0:
                break
            done += copied
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise
    while done < size:
        block = os.pread(source, min(size - done, 1024 * 1024), done)
        if not block:
            raise OSError(errno.EIO, "the file became shorter while the server copied it; try again")
        _write_all(target, block, done)
        done += len(block)


def _sha256_of(fd: int) -> str:
    with open(fd, "rb", closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
