"""The SFTP operations of one session on the tenant's files. All other operations are refused.

A client's CLOSE calls `close`. Handles still open when a session ends in another way are passed to `abandon`. The
stock server's path mapping raises, so an operation that is missing here fails instead of reaching the disk.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import Never, cast

import asyncssh
from asyncssh import SFTPAttrs, SFTPName, SFTPVFSAttrs
from asyncssh.constants import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_READ, FXF_TRUNC, FXF_WRITE

from server.files.contracts import Metrics
from server.files.files import Files, Limits, Reading, Stat, Writing
from server.files.paths import ClientPath, check_writable, parse_path
from server.sftp.listing import Listing, attributes

BLOCK = 4096
_REPORT_BYTES = 4 * 1024 * 1024

Handle = Reading | Writing


class TenantFiles(asyncssh.SFTPServer):
    """The operations that one session of a tenant may use."""

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        files: Files,
        limits: Limits,
        metrics: Metrics,
        longest_read: int,
    ) -> None:
        """`longest_read`: the bytes of the longest answer to a READ."""
        super().__init__(channel)
        self._files = files
        self._limits = limits
        self._metrics = metrics
        self._longest_read = longest_read
        self._received = self._sent = 0
        self._drafts: dict[object, Writing] = {}
        """The open uploads, the oldest first: each is its own key."""

    # Paths of the stock server. An operation that still asks for one is not implemented here.

    def map_path(self, path: bytes) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    def reverse_map_path(self, path: bytes) -> Never:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    # Handles

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> Handle:
        where = parse_path(path)
        if not pflags & (FXF_WRITE | FXF_APPEND):
            return await self._files.open(where)
        draft = await self._files.begin(
            where,
            self._limits,
            truncate=bool(pflags & FXF_TRUNC),
            create=bool(pflags & FXF_CREAT),
            exclusive=bool(pflags & FXF_EXCL),
        )
        draft.append = bool(pflags & FXF_APPEND)
        draft.readable = bool(pflags & FXF_READ)
        self._drafts[draft] = draft
        return draft

    async def close(self, file_obj: object) -> None:
        """Serve the client's own CLOSE. Nothing else calls this."""
        draft = self._drafts.pop(file_obj, None)
        if draft is None:
            await cast(Reading, file_obj).close()
        else:
            await self._files.finish(draft, gone=self.channel.wait_closed)

    async def abandon(self, handle: Handle, reason: str) -> None:
        """Discard a handle that was open when the session ended."""
        draft = self._drafts.pop(handle, None)
        if draft is None:
            await cast(Reading, handle).close()
        else:
            await self._files.abandon(draft, reason)

    def read(self, file_obj: object, offset: int, size: int) -> bytes | Awaitable[bytes]:
        draft = self._drafts.get(file_obj)
        if draft is not None and not draft.readable:
            raise OSError(errno.EACCES, "the file is not open for reading")
        handle = cast(Handle, file_obj)
        wanted = min(size, self._longest_read, max(0, handle.size - offset))
        if wanted <= 0:
            return b""
        self._count(sent=wanted)
        return handle.read(offset, wanted)

    def write(self, file_obj: object, offset: int, data: bytes) -> int | Awaitable[int]:
        draft = self._drafts.get(file_obj)
        if draft is None:
            raise OSError(errno.EACCES, "the file is not open for writing")
        self._count(received=len(data))
        return draft.write(offset, data)

    async def fstat(self, file_obj: object) -> SFTPAttrs:
        handle = cast(Handle, file_obj)
        return attributes(await handle.stat(), writable=not handle.path.in_results)

    async def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        times = _times(attrs)
        draft = self._drafts.get(file_obj)
        if draft is not None:
            if attrs.size is not None:
                await draft.resize(attrs.size)
            if times is not None:
                await draft.set_times(times)
        elif attrs.size is not None:
            raise OSError(errno.EACCES, "the file is not open for writing")
        elif times is not None:
            handle = cast(Reading, file_obj)
            check_writable(handle.path)
            await handle.set_times(times)

    async def fsync(self, file_obj: object) -> None:
        await cast(Handle, file_obj).flush()

    # Names

    # A session sees its own open uploads at free paths: some clients create a file and then ask for its attributes.

    async def _own_draft(self, where: ClientPath) -> Writing | None:
        """Return the newest upload that this session has open for `where`; None if the path already exists."""
        newest_first = reversed(self._drafts.values())
        mine = next((each for each in newest_first if each.path == where and not each.removed), None)
        if mine is None:
            return None
        with suppress(FileNotFoundError):
            await self._files.stat(where)
            return None
        return mine

    async def _found(self, where: ClientPath) -> Stat:
        mine = await self._own_draft(where)
        return await (self._files.stat(where) if mine is None else mine.stat())

    async def lstat(self, path: bytes) -> SFTPAttrs:
        where = parse_path(path)
        return attributes(await self._found(where), writable=not where.in_results)

    async def stat(self, path: bytes) -> SFTPAttrs:
        where = parse_path(path)
        found = await self._found(where)
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.EACCES, "links are not followed")
        return attributes(found, writable=not where.in_results)

    async def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Set size and times; modes and owners are accepted and ignored."""
        where = parse_path(path)
        if mine := await self._own_draft(where):
            await self.fsetstat(mine, attrs)
            return
        await self._files.stat(where)
        times = _times(attrs)
        if attrs.size is not None:
            draft = await self._files.begin(
                where, self._limits, truncate=attrs.size == 0, create=False, exclusive=False
            )
            await self._resize(draft, attrs.size, times)
        elif times is not None:
            await self._files.set_times(where, times)

    async def _resize(self, draft: Writing, size: int, times: tuple[int, int] | None) -> None:
        try:
            await draft.resize(size)
            if times is not None:
                await draft.set_times(times)
        except OSError as error:
            await self._files.abandon(draft, error.strerror or str(error))
            raise
        await self._files.finish(draft, "resize", gone=self.channel.wait_closed)

    async def listing(self, path: bytes) -> Listing:
        """Open a folder, for OPENDIR."""
        where = parse_path(path)
        return Listing(where, await self._files.listing(where))

    def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        raise asyncssh.SFTPOpUnsupported("Operation not supported")

    async def remove(self, path: bytes) -> None:
        where = parse_path(path)
        if mine := await self._own_draft(where):
            await self._files.remove_open(mine)
        else:
            await self._files.remove(where)

    async def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        await self._files.make_folder(parse_path(path), self._limits())

    async def rmdir(self, path: bytes) -> None:
        await self._files.remove_folder(parse_path(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename(parse_path(oldpath), parse_path(newpath), replace=False)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._rename(parse_path(oldpath), parse_path(newpath), replace=True)

    async def _rename(self, old: ClientPath, new: ClientPath, *, replace: bool) -> None:
        if mine := await self._own_draft(old):
            await self._files.move_open(mine, new, replace=replace)
        else:
            await self._files.rename(old, new, replace=replace, gone=self.channel.wait_closed)

    def realpath(self, path: bytes) -> bytes:
        return parse_path(path).raw

    async def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        await self._files.stat(parse_path(path))
        return await self._quota()

    async def fstatvfs(self, file_obj: object) -> SFTPVFSAttrs:
        return await self._quota()

    async def _quota(self) -> SFTPVFSAttrs:
        """Return the quota in the form of a disk, with at most the free space of the real one."""
        limits = self._limits()
        room = await self._files.room(limits)
        free = room.size // BLOCK
        return SFTPVFSAttrs(
            bsize=BLOCK,
            frsize=BLOCK,
            blocks=limits.quota_bytes // BLOCK,
            bfree=free,
            bavail=free,
            files=limits.quota_files,
            ffree=room.files,
            favail=room.files,
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
        metrics, tenant = self._metrics, self._files.tenant
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
