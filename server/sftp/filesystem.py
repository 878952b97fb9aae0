"""The SFTP operations of one session on the tenant's files. All other operations are refused.

A client's CLOSE calls `close`. Handles still open when a session ends in another way are passed to `abandon`. The
stock server's path mapping raises, so an operation that is missing here fails instead of reaching the disk.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Never, cast

import asyncssh
from asyncssh import SFTPAttrs, SFTPName, SFTPVFSAttrs
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_READ, FXF_TRUNC, FXF_WRITE

from server.files.contracts import TenantLimits
from server.files.drafts import Draft
from server.files.local import changes, uploads
from server.files.local.space import Space
from server.files.paths import ClientPath, check_writable, parse_path
from server.sftp.listing import Listing, attributes

BLOCK = 4096
SHORT = 16 * 1024
"""Bytes. Up to this many are written on the event loop, because a thread would cost more."""

_REPORT_BYTES = 4 * 1024 * 1024
_NOW = os.RWF_NOWAIT


class Reader:
    """One handle open for reading a file. Files are never changed in place."""

    __slots__ = ("fd", "path", "size")

    def __init__(self, path: ClientPath, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.size = os.fstat(fd).st_size


Handle = Reader | Draft


class TenantFiles(asyncssh.SFTPServer):
    """The operations that one session of a tenant may use."""

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        space: Space,
        limits: Callable[[], TenantLimits],
    ) -> None:
        super().__init__(channel)
        self._space = space
        self._limits = limits
        self._buffer = space.house.buffer
        self._received = self._sent = 0
        self._drafts: list[Draft] = []

    # Paths of the stock server. An operation that still asks for one is not implemented here.

    def map_path(self, path: bytes) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    def reverse_map_path(self, path: bytes) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    # Handles

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Handle:
        where = parse_path(path)
        if not pflags & (FXF_WRITE | FXF_APPEND):
            return Reader(where, self._space.folder.open_file(where))
        draft = await uploads.begin(
            self._space,
            where,
            self._limits,
            truncate=bool(pflags & FXF_TRUNC),
            create=bool(pflags & FXF_CREAT),
            exclusive=bool(pflags & FXF_EXCL),
        )
        draft.append = bool(pflags & FXF_APPEND)
        draft.readable = bool(pflags & FXF_READ)
        self._drafts.append(draft)
        return draft

    async def close(self, file_obj: object) -> None:
        """Serve the client's own CLOSE. Nothing else calls this."""
        handle = cast(Handle, file_obj)
        if isinstance(handle, Draft):
            self._drafts.remove(handle)
            await uploads.finish(self._space, handle, gone=self.channel.wait_closed)
        else:
            os.close(handle.fd)

    async def abandon(self, handle: Handle, reason: str) -> None:
        """Discard a handle that was open when the session ended."""
        if isinstance(handle, Draft):
            self._drafts.remove(handle)
            await uploads.abandon(self._space, handle, reason)
        else:
            os.close(handle.fd)

    def read(self, file_obj: object, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Return bytes at once if they are in memory; else read them from the disk in a thread."""
        handle = cast(Handle, file_obj)
        if isinstance(handle, Draft) and not handle.readable:
            raise OSError(errno.EACCES, "the file is not open for reading")
        wanted = min(size, len(self._buffer), max(0, handle.size - offset))
        if wanted <= 0:
            return b""
        self._count(sent=wanted)
        view = memoryview(self._buffer)[:wanted]
        try:
            if os.preadv(handle.fd, [view], offset, _NOW) == wanted:
                return bytes(view)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        return self._space.in_thread(os.pread, handle.fd, wanted, offset)

    def write(self, file_obj: object, offset: int, data: bytes) -> int | Awaitable[int]:
        """Write up to `SHORT` bytes at once, and more in a thread, because a slow disk blocks the writer."""
        handle = cast(Handle, file_obj)
        if not isinstance(handle, Draft):
            raise OSError(errno.EACCES, "the file is not open for writing")
        self._count(received=len(data))
        if len(data) > SHORT:
            return handle.write_in_thread(self._space.in_thread, offset, data)
        return handle.write(offset, data)

    def fstat(self, file_obj: object) -> SFTPAttrs:
        handle = cast(Handle, file_obj)
        return attributes(os.fstat(handle.fd), writable=not handle.path.in_results)

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        handle = cast(Handle, file_obj)
        times = _times(attrs)
        if isinstance(handle, Draft):
            if attrs.size is not None:
                handle.resize(attrs.size)
            if times is not None:
                handle.set_times(times)
        elif attrs.size is not None:
            raise OSError(errno.EACCES, "the file is not open for writing")
        elif times is not None:
            check_writable(handle.path)
            os.utime(handle.fd, ns=times)

    async def fsync(self, file_obj: object) -> None:
        await self._space.in_thread(os.fsync, cast(Handle, file_obj).fd)

    # Names

    # A session sees its own open uploads at free paths: some clients create a file and then ask for its attributes.

    def _own_draft(self, where: ClientPath) -> Draft | None:
        """Return the newest upload that this session has open for `where`; None if the path already exists."""
        mine = next((each for each in reversed(self._drafts) if each.path == where and not each.removed), None)
        if mine is None:
            return None
        with suppress(FileNotFoundError):
            self._space.folder.stat(where)
            return None
        return mine

    def _found(self, where: ClientPath) -> os.stat_result:
        mine = self._own_draft(where)
        return self._space.folder.stat(where) if mine is None else os.fstat(mine.fd)

    def lstat(self, path: bytes) -> SFTPAttrs:
        where = parse_path(path)
        return attributes(self._found(where), writable=not where.in_results)

    def stat(self, path: bytes) -> SFTPAttrs:
        where = parse_path(path)
        found = self._found(where)
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.EACCES, "links are not followed")
        return attributes(found, writable=not where.in_results)

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Set size and times; modes and owners are accepted and ignored."""
        where = parse_path(path)
        if mine := self._own_draft(where):
            self.fsetstat(mine, attrs)
            return
        self._space.folder.stat(where)
        times = _times(attrs)
        if attrs.size is not None:
            draft = await uploads.begin(
                self._space, where, self._limits, truncate=attrs.size == 0, create=False, exclusive=False
            )
            await self._resize(draft, attrs.size, times)
        elif times is not None:
            changes.set_times(self._space, where, times)

    async def _resize(self, draft: Draft, size: int, times: tuple[int, int] | None) -> None:
        try:
            draft.resize(size)
            if times is not None:
                draft.set_times(times)
        except OSError as error:
            await uploads.abandon(self._space, draft, error.strerror or str(error))
            raise
        await uploads.finish(self._space, draft, "resize", gone=self.channel.wait_closed)

    def listing(self, path: bytes) -> Listing:
        """Open a folder, for OPENDIR."""
        return Listing(self._space, parse_path(path))

    def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    async def remove(self, path: bytes) -> None:
        where = parse_path(path)
        if mine := self._own_draft(where):
            uploads.remove(mine)
        else:
            await changes.remove(self._space, where)

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        await changes.make_folder(self._space, parse_path(path), self._limits())

    async def rmdir(self, path: bytes) -> None:
        await changes.remove_folder(self._space, parse_path(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename(parse_path(oldpath), parse_path(newpath), replace=False)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename(parse_path(oldpath), parse_path(newpath), replace=True)

    async def _rename(self, old: ClientPath, new: ClientPath, *, replace: bool) -> None:
        if mine := self._own_draft(old):
            uploads.move(self._space, mine, new, replace=replace)
        else:
            await changes.rename(self._space, old, new, replace=replace, gone=self.channel.wait_closed)

    def realpath(self, path: bytes) -> bytes:
        return parse_path(path).raw

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        self._space.folder.stat(parse_path(path))
        return await self._quota()

    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:
        return await self._quota()

    async def _quota(self) -> SFTPVFSAttrs:
        """Return the quota in the form of a disk, with at most the free space of the real one."""
        limits, usage = self._limits(), await self._space.recounted()
        disk = os.fstatvfs(self._space.folder.fd)
        free = max(0, min(limits.quota_bytes - usage.taken, disk.f_bavail * disk.f_frsize)) // BLOCK
        free_files = max(0, limits.quota_files - usage.files)
        return SFTPVFSAttrs(
            bsize=BLOCK,
            frsize=BLOCK,
            blocks=limits.quota_bytes // BLOCK,
            bfree=free,
            bavail=free,
            files=limits.quota_files,
            ffree=free_files,
            favail=free_files,
            flags=0,
            namemax=255,
        )

    # Refused

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    def readlink(self, path: bytes) -> Never:
        raise asyncssh.SFTPPermissionDenied("Links are not followed")

    def symlink(self, oldpath: bytes, newpath: bytes) -> Never:
        raise asyncssh.SFTPPermissionDenied("Links cannot be made")

    def link(self, oldpath: bytes, newpath: bytes) -> Never:
        raise asyncssh.SFTPPermissionDenied("Links cannot be made")

    # Ends

    def exit(self) -> None:
        """Count the transferred bytes at the end of the session."""
        self._report()

    def _count(self, *, received: int = 0, sent: int = 0) -> None:
        self._received += received
        self._sent += sent
        if self._received + self._sent >= _REPORT_BYTES:
            self._report()

    def _report(self) -> None:
        metrics, tenant = self._space.house.metrics, self._space.tenant
        if self._received:
            metrics.transferred(tenant, "in", self._received)
        if self._sent:
            metrics.transferred(tenant, "out", self._sent)
        self._received = self._sent = 0


def _times(attrs: SFTPAttrs) -> tuple[int, int] | None:
    """Return access and modification time in nanoseconds; None if the client did not set both."""
    if attrs.atime is None or attrs.mtime is None:
        return None
    return attrs.atime * 10**9 + (attrs.atime_ns or 0), attrs.mtime * 10**9 + (attrs.mtime_ns or 0)
