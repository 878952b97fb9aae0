"""The SFTP protocol of one channel: the library's handler with limits. Only a client's own CLOSE publishes a file.

Depends on internals of asyncssh (see tests/unit/sftp/test_asyncssh_inside.py). The library's cleanup closes open
handles exactly as a client's CLOSE does; this handler abandons them. It reads the next request only when the client
has taken the earlier answers, so that no answers pile up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, cast

import asyncssh
from asyncssh import constants as c
from asyncssh.packet import PacketDecodeError, SSHPacket
from asyncssh.sftp import SFTPLimits, SFTPServerHandler
from asyncssh.stream import SSHReader, SSHWriter

from server.sftp.caps import PER_HANDLE
from server.sftp.filesystem import Handle, TenantFiles
from server.sftp.handles import ConnectionHandles, TooManyHandles
from server.sftp.listing import Listing

log = logging.getLogger(__name__)

MAX_PACKET = 256 * 1024
"""Bytes, as in OpenSSH: no client sends more. `_FORGIVEN` is added, so that one WRITE may hold 256 KiB of data."""

MAX_DATA = MAX_PACKET - 1024
OLDEST = 3
"""The version of SFTP that the server speaks."""

_FORGIVEN = 4096
_FILE, _FOLDER = 1, PER_HANDLE  # descriptors
_NAMES_AT_ONCE = 128
_PIECE = 32 * 1024
_EXPECTED = (asyncssh.SFTPError, PacketDecodeError, OSError)

_WRITE = bytes([c.FXP_WRITE])

Request = Callable[["SftpHandler", SSHPacket], Awaitable[Any]]

Confirmed = Callable[[], Awaitable[bool]]
"""Wait until it is sure that the session may go on; return whether it may."""


class SftpHandler(SFTPServerHandler):
    """One SFTP session. `run()` returns when the session has ended; then no handle is open."""

    _extensions: ClassVar[list[tuple[bytes, bytes]]] = [  # type: ignore[misc]
        (b"posix-rename@openssh.com", b"1"),
        (b"fsync@openssh.com", b"1"),
        (b"limits@openssh.com", b"1"),
        (b"statvfs@openssh.com", b"2"),
        (b"fstatvfs@openssh.com", b"2"),
    ]

    def __init__(
        self,
        files: TenantFiles,
        reader: SSHReader[bytes],
        writer: SSHWriter[bytes],
        *,
        handles: ConnectionHandles,
        taken: Callable[[], Awaitable[None]],
        active: Callable[[], Confirmed | None],
    ) -> None:
        """`taken` waits until the client has taken earlier answers.

        `active` is called for every request, and returns what it has to wait for. WRITE does not: it changes nothing
        that others see.
        """
        super().__init__(files, reader, writer, sftp_version=OLDEST)
        self._files = files
        self._handles = handles
        self._taken = taken
        self._active = active
        self._over = False
        self._greeted = False
        self.serving = False
        """Whether a request is being served, so that the client waits for the server."""
        self.ending: str | None = None
        """Set by the connection: why no more requests are served."""

    async def run(self) -> None:
        """Serve requests until the session ends. Raises nothing."""
        try:
            await super().run()
        except (asyncssh.BreakReceived, asyncssh.SignalReceived) as end:
            self.ending = self.ending or f"the client sent {type(end).__name__.removesuffix('Received').lower()}"
        except (EOFError, OSError, asyncssh.Error):
            pass  # the client disconnected before the first request
        except Exception:
            log.exception("An SFTP session failed.", extra={"event": "sftp_session_failed"})
        finally:
            await self._cleanup(None)

    async def recv_packet(self) -> SSHPacket:
        """Return the next request, after the client has taken the earlier answers."""
        self.serving = False
        await self._taken()
        reader, writer = self._reader, self._writer
        if reader is None or writer is None or self.ending is not None:
            raise EOFError
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > MAX_PACKET + _FORGIVEN:
            raise asyncssh.SFTPBadMessage(f"Packet too long: at most {MAX_PACKET:,} bytes")
        content = await reader.readexactly(length)
        if not self._greeted:
            self._greeted = True
            _check_greeting(content)
        confirmed = self._active()
        self.serving = True
        if confirmed and content[:1] != _WRITE and not await confirmed():
            raise EOFError
        return SSHPacket(content)

    def send_packet(self, pkttype: int, pktid: int | None, *args: bytes) -> None:
        """Send as the library does, but pass a long answer on in pieces of one channel packet, with fewer copies."""
        writer = self._writer
        if writer is None:
            raise asyncssh.SFTPNoConnection("Connection not open")
        if writer.channel.is_closing():
            return
        size = 1 + sum(map(len, args))
        head = b"".join((size.to_bytes(4, "big"), bytes((pkttype,)), *args[:-1]))
        rest = memoryview(args[-1])
        first = _PIECE - len(head)
        writer.write(head + rest[:first])
        for start in range(first, len(rest), _PIECE):
            writer.write(cast(bytes, rest[start : start + _PIECE]))

    def _log_extensions(self, *_: object) -> None:
        """Do nothing: a client may send extensions that the library cannot parse."""

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Do nothing: a log line for every packet costs time."""

    def log_received_packet(self, *_: object, **__: object) -> None:
        """Do nothing: a log line for every packet costs time."""

    async def _cleanup(self, exc: Exception | None) -> None:
        """Abandon open handles at the end of the session. Runs once."""
        if self._over:
            return
        self._over = True
        reason = self.ending or _reason(exc)
        for handle in self._file_handles.values():
            try:
                await self._files.abandon(cast(Handle, handle), reason)
            except Exception:
                log.exception("An open file could not be discarded.", extra={"event": "sftp_session_failed"})
            finally:
                self._handles.release(_FILE)
        for listing in self._dir_handles.values():
            self._handles.release(_FOLDER)
            cast(Listing, listing).close()
        self._file_handles.clear()
        self._dir_handles.clear()
        self._files.exit()
        with suppress(OSError):
            self._files.channel.exit(0)  # without an exit status, scp reports a failure
        await super(SFTPServerHandler, self)._cleanup(exc)

    @contextmanager
    def _one_more(self, descriptors: int) -> Iterator[None]:
        """Wrap the opening of a handle: count it, unless that fails."""
        try:
            self._handles.take(descriptors)
        except TooManyHandles as refused:
            raise asyncssh.SFTPFailure(str(refused)) from None
        try:
            yield
        except BaseException:
            self._handles.release(descriptors)
            raise

    async def _open(self, packet: SSHPacket) -> bytes:
        with self._one_more(_FILE):
            return await self._process_open(packet)

    async def _write(self, packet: SSHPacket) -> int:
        """Write as the library does, but ignore bytes after the data (rclone 1.60 sends some)."""
        handle, offset, data = packet.get_string(), packet.get_uint64(), packet.get_string()
        file = self._file_handles.get(handle)
        if file is None:
            raise asyncssh.SFTPInvalidHandle("Invalid file handle")
        written = self._files.write(file, offset, data)
        return written if isinstance(written, int) else await written

    async def _close(self, packet: SSHPacket) -> None:
        handle = packet.get_string()
        packet.check_end()
        listing = self._dir_handles.pop(handle, None)
        if listing is not None:
            self._handles.release(_FOLDER)
            cast(Listing, listing).close()
            return
        file = self._file_handles.pop(handle, None)
        if file is None:
            raise asyncssh.SFTPInvalidHandle("Invalid file handle")
        try:
            await self._files.close(file)
        finally:
            self._handles.release(_FILE)

    async def _opendir(self, packet: SSHPacket) -> bytes:
        path = packet.get_string()
        packet.check_end()
        with self._one_more(_FOLDER):
            listing = await self._files.listing(path)
        handle = self._get_next_handle()
        self._dir_handles[handle] = cast(Any, listing)
        return handle

    async def _readdir(self, packet: SSHPacket) -> tuple[list[asyncssh.SFTPName], bool]:
        handle = packet.get_string()
        packet.check_end()
        listing = cast("Listing | None", self._dir_handles.get(handle))
        if listing is None:
            raise asyncssh.SFTPInvalidHandle("Invalid file handle")
        names = await listing.next(_NAMES_AT_ONCE)
        if not names:
            raise asyncssh.SFTPEOFError
        return names, False

    async def _limits(self, packet: SSHPacket) -> SFTPLimits:
        packet.check_end()
        return SFTPLimits(MAX_PACKET, MAX_DATA, MAX_DATA, self._handles.most)


def _check_greeting(content: bytes) -> None:
    """Refuse a client of an older protocol: the library accepts it, but cannot decode its attributes."""
    if content[:1] == bytes([c.FXP_INIT]) and int.from_bytes(content[1:5], "big") < OLDEST:
        raise asyncssh.SFTPBadMessage(f"The client must use version {OLDEST} of SFTP, or newer")


def _reason(exc: Exception | None) -> str:
    if exc is None or isinstance(exc, asyncio.IncompleteReadError):
        return "the client disconnected before it closed the file"
    return f"the session failed: {exc}"


def _guarded(serve: Request) -> Request:
    """Wrap a request: log an internal error, and answer the client with no details."""

    async def guarded(handler: SftpHandler, packet: SSHPacket) -> Any:
        try:
            return await serve(handler, packet)
        except _EXPECTED:
            raise
        except Exception as fault:
            log.exception("An SFTP request failed.", extra={"event": "sftp_request_failed"})
            raise asyncssh.SFTPFailure(
                "Internal error. Tell the operator of the server: its log has the cause"
            ) from fault

    guarded.__name__ = serve.__name__
    return guarded


_OWN: Mapping[int | bytes, Request] = {
    c.FXP_OPEN: SftpHandler._open,
    c.FXP_CLOSE: SftpHandler._close,
    c.FXP_WRITE: SftpHandler._write,
    c.FXP_OPENDIR: SftpHandler._opendir,
    c.FXP_READDIR: SftpHandler._readdir,
    b"limits@openssh.com": SftpHandler._limits,
}
STOCK: tuple[int | bytes, ...] = (
    c.FXP_READ, c.FXP_LSTAT, c.FXP_FSTAT, c.FXP_SETSTAT, c.FXP_FSETSTAT, c.FXP_REMOVE, c.FXP_MKDIR, c.FXP_RMDIR,
    c.FXP_REALPATH, c.FXP_STAT, c.FXP_RENAME, c.FXP_READLINK, c.FXP_SYMLINK, b"posix-rename@openssh.com",
    b"statvfs@openssh.com", b"fstatvfs@openssh.com", b"fsync@openssh.com",
)  # fmt: skip
"""Requests served by the library's methods. A request neither here nor in `_OWN` is answered as unsupported."""

_stock = SFTPServerHandler._packet_handlers
_served: dict[int | bytes, Request] = {**{each: cast(Request, _stock[each]) for each in STOCK}, **_OWN}
SftpHandler._packet_handlers = {kind: cast(Any, _guarded(serve)) for kind, serve in _served.items()}
