"""A draft: a file that is being written. It is an inode in staging, which no listing shows until it is published.

This module does not know hooks or the protocol. Every function raises OSError with a message for the client.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from server.files.contracts import TenantLimits
from server.files.limits import Usage, check_length
from server.files.paths import ClientPath
from server.files.written import Trace

InThread = Callable[..., Awaitable[Any]]
"""The signature of `Space.in_thread`."""

_SLICE = 64 * 1024 * 1024


class Draft:
    """One handle open for writing. Its length counts against the quota until it is published or discarded.

    `changed`: there is something to publish. `failure`: why it must not be published. `removed`: the client removed
    the file before it closed it. `times`: access and modification time that the client set, in nanoseconds.
    """

    __slots__ = (
        "_limits", "_staging", "_usage", "append", "changed", "counted", "exclusive", "failure", "fd", "name", "path",
        "readable", "removed", "size", "times", "trace",
    )  # fmt: skip

    def __init__(
        self, path: ClientPath, staging: int, usage: Usage, limits: Callable[[], TenantLimits], *, new: bool
    ) -> None:
        """Make an empty draft for `path`. `new`: the path does not exist yet, so the draft counts as a file."""
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

    def reserve_copy(self, size: int) -> None:
        """Count `size` bytes before they are copied in."""
        check_length(size, self._limits())
        self._usage.reserve(size, 0, self._limits())
        self.size = size

    def write(self, offset: int, data: bytes) -> int:
        """Write all of `data` at `offset`, or at the end if the draft was opened for appending.

        After a write that failed, nothing more is written and the draft is not published.
        """
        with self._writing(offset, data) as place:
            _write_all(self.fd, data, place)
        return len(data)

    async def write_in_thread(self, in_thread: InThread, offset: int, data: bytes) -> int:
        """Like `write`, but in a thread. The caller must not use the draft until it returns."""
        with self._writing(offset, data) as place:
            await in_thread(_write_all, self.fd, data, place)
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

    def resize(self, size: int) -> None:
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

    def set_times(self, times: tuple[int, int]) -> None:
        """Set access and modification time, in nanoseconds since 1970."""
        self.times = times
        os.utime(self.fd, ns=times)

    def discard(self, close: Callable[[int], object] = os.close) -> None:
        """Discard the written bytes and release their quota. `close` closes the descriptor, which frees the space."""
        try:
            with suppress(
                OSError
            ):  # a failed publication removed the name; or the disk fails and start-up removes it
                os.unlink(self.name, dir_fd=self._staging)
        finally:
            close(self.fd)
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
