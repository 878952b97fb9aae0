"""Work on open files of this machine that does not block the event loop."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

from ground.threads import Coming

T = TypeVar("T")
Args = TypeVarTuple("Args")

THREADS = 8
SHORT_THREADS = 4
"""The threads for short work: it never waits for a long flush or a slow read in the other threads."""
_NOW = os.RWF_NOWAIT


class Disk:
    """The threads that all tenants share for their files, and the buffer that all reads use."""

    def __init__(self, longest_read: int) -> None:
        """`longest_read`: the bytes of the longest answer to a read."""
        self._threads = ThreadPoolExecutor(THREADS, "sftp")
        self._short = ThreadPoolExecutor(SHORT_THREADS, "short")
        self._buffer = bytearray(longest_read)  # used only within one step of the event loop

    def read(self, fd: int, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Return `size` bytes at once if they are in memory; else read them from the disk in a thread.

        They are fewer at the end of the file, and if `size` is above the longest answer.
        """
        view = memoryview(self._buffer)[:size]
        try:
            if os.preadv(fd, [view], offset, _NOW) == len(view):
                return bytes(view)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        return self.in_thread(os.pread, fd, len(view), offset)

    def close_later(self, fd: int) -> None:
        """Close `fd` in a thread: the last close of a file without a name frees its space, which takes time."""
        self._threads.submit(os.close, fd)

    async def in_thread(self, work: Callable[[Unpack[Args]], T], *args: *Args) -> T:
        """Run blocking `work` in a thread. If canceled, it still returns only when the thread has ended.

        Until then the descriptors that the thread uses must stay open.
        """
        coming = Coming(partial(work, *args))
        self._threads.submit(coming.do)
        return await coming

    def begin(self, work: Callable[[Unpack[Args]], T], *args: *Args) -> Future[T]:
        """Begin short work in a thread. Descriptors that it uses must stay open until it is done."""
        return self._short.submit(work, *args)

    def close(self) -> None:
        """Let the threads end, without waiting for them."""
        self._threads.shutdown(wait=False)
        self._short.shutdown(wait=False)
