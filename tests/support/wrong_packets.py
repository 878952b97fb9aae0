"""Packets that a client should not send: every SFTP type and every SSH message, cut, too long or random."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from asyncssh import constants as c
from asyncssh.packet import MPInt, NameList, String, UInt32, UInt64

PATHS = [b"sync_users.csv", b"a", b"d/e", b"", b"/", b"..", b"results/x", b"\0", b"\xff\xfe", b"x" * 5000]
EXTENDED = [
    b"posix-rename@openssh.com", b"fsync@openssh.com", b"statvfs@openssh.com", b"fstatvfs@openssh.com",
    b"limits@openssh.com", b"hardlink@openssh.com", b"lsetstat@openssh.com", b"copy-data", b"vendor-id", b"text-seek",
    b"", b"\xff", b"x" * 1000,
]  # fmt: skip
SIZES = [0, 1, 100, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


class WrongPackets:
    """A source of wrong packets; the same seed gives the same ones. `one()` is an SFTP packet with its length."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        paths = [c.FXP_OPENDIR, c.FXP_REMOVE, c.FXP_RMDIR, c.FXP_REALPATH, c.FXP_STAT, c.FXP_LSTAT, c.FXP_READLINK]
        handles = [c.FXP_CLOSE, c.FXP_FSTAT, c.FXP_READDIR]
        self._contents: list[Callable[[], tuple[int, bytes]]] = [
            lambda: (c.FXP_OPEN, self._path() + UInt32(self._bits()) + self._attrs()),
            lambda: (c.FXP_WRITE, self._handle() + self._size() + self._blob()),
            lambda: (c.FXP_READ, self._handle() + self._size() + UInt32(self._bits())),
            lambda: (c.FXP_FSETSTAT, self._handle() + self._attrs()),
            lambda: (self._choose([c.FXP_SETSTAT, c.FXP_MKDIR]), self._path() + self._attrs()),
            lambda: (self._choose(paths), self._path()),
            lambda: (self._choose(handles), self._handle()),
            lambda: (self._choose([c.FXP_RENAME, c.FXP_SYMLINK, c.FXP_LINK]), self._path() + self._path()),
            lambda: (c.FXP_EXTENDED, String(self._choose(EXTENDED)) + self._path() + self._path()),
            lambda: (c.FXP_EXTENDED, String(self._choose(EXTENDED)) + self._handle()),
            lambda: (self._random.randrange(256), self._random.randbytes(self._random.randrange(200))),
        ]  # fmt: skip

    def one(self) -> bytes:
        kind, content = self._choose(self._contents)()
        return framed(bytes([kind]) + UInt32(self._random.randrange(1 << 32)) + self.damaged(content))

    def greeting(self) -> bytes:
        """Return an INIT of version 3 with senseless extensions, or with none."""
        parts = [String(self._choose(EXTENDED)) + self._blob() for _ in range(self._random.randrange(4))]
        return framed(bytes([c.FXP_INIT]) + UInt32(3) + self.damaged(b"".join(parts)))

    def damaged(self, content: bytes) -> bytes:
        """Return `content` cut, too long, with a changed byte, or unchanged."""
        way = self._random.random()
        if way < 0.15:
            return content[: self._random.randrange(len(content) + 1)]
        if way < 0.25:
            return content + self._random.randbytes(self._random.choice([1, 7, 3000]))
        if way < 0.4 and content:
            place = self._random.randrange(len(content))
            return content[:place] + self._random.randbytes(1) + content[place + 1 :]
        return content

    def ssh(self) -> bytes:
        """Return a framed SSH message before encryption, or bytes that are not a message."""
        kind = self._random.choice([1, 2, 3, 4, 5, 6, 7, 20, 20, 21, 30, 30, 31, 50, 52, 60, 80, 90, 94, 192, 255])
        payload = bytes([kind]) + self.damaged(self._ssh_content(kind))
        padding = 8 - (len(payload) + 5) % 8 + 8
        whole = UInt32(len(payload) + padding + 1) + bytes([padding]) + payload + bytes(padding)
        way = self._random.random()
        if way < 0.1:
            return self._random.randbytes(self._random.randrange(300))
        if way < 0.2:
            return UInt32(self._choose([0, 1, 4, 8, 35_001, 262_144, (1 << 32) - 1])) + whole[4:]
        if way < 0.3:
            return whole[:4] + self._random.randbytes(1) + whole[5:]  # the length of the padding
        return whole

    def message(self) -> tuple[int, bytes]:
        """Return type and content of an SSH message, to be sent encrypted."""
        kind = self._choose([2, 4, 5, 6, 7, 21, 30, 50, 50, 50, 50, 50, 51, 52, 60, 61, 66, 80, 90, 94, 98, 100, 192])
        return int(kind), self.damaged(self._ssh_content(kind))

    def version_line(self) -> bytes:
        """Return the first line of a client: mostly a version, else one that is too long or of another protocol."""
        wrong = [
            b"SSH-2.0-" + b"x" * 300 + b"\r\n", b"SSH-1.0-a\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 20_000, b"\xff\n",
            b"SSH-2.0-\xff\xfe\r\n", bytes(10) + b"\n", b"SSH-2.0-x\n" * 500,
        ]  # fmt: skip
        return bytes(self._choose([b"SSH-2.0-x\r\n"] * len(wrong) + wrong))

    def _ssh_content(self, kind: int) -> bytes:
        if kind == c.MSG_KEXINIT:
            lists = [
                [b"curve25519-sha256"], [b"ssh-ed25519"], *([[b"aes128-ctr"]] * 2), *([[b"hmac-sha2-256"]] * 2),
                *([[b"none"]] * 2), [], [],
            ]  # fmt: skip
            return self._random.randbytes(16) + b"".join(map(NameList, lists)) + b"\0" + UInt32(0)
        if kind == 30:
            return self._choose([String(self._random.randbytes(32)), String(bytes(32)), MPInt(self._bits()), b""])
        if kind == c.MSG_DISCONNECT:
            return UInt32(self._bits()) + self._blob() + self._blob()
        if kind == c.MSG_USERAUTH_REQUEST:
            return (
                String(b"acme") + String(b"ssh-connection") + String(self._choose([b"none", b"publickey", b"\xff"]))
            )
        return self._blob() + self._blob()

    def _choose(self, of: Sequence[Any]) -> Any:
        return self._random.choice(of)

    def _path(self) -> bytes:
        return String(self._choose(PATHS))

    def _handle(self) -> bytes:
        """Return a handle, mostly one that may be open."""
        known = String(UInt32(self._random.randrange(20)))
        return known if self._random.random() < 0.8 else self._blob()

    def _blob(self) -> bytes:
        return String(self._random.randbytes(self._choose([0, 1, 4, 8, 300])))

    def _size(self) -> bytes:
        return UInt64(self._choose(SIZES))

    def _bits(self) -> int:
        """Return a number with one bit, some bits or all bits."""
        one = 1 << self._random.randrange(32)
        return int(self._choose([one, 1, 2, 0x1A, 0x3F, self._random.randrange(1 << 32), (1 << 32) - 1]))

    def _attrs(self) -> bytes:
        """Return flags with the values that they announce in version 3, or flags alone."""
        flags = self._choose([0, 1, 2, 4, 8, 15, self._bits(), 1 << 31])
        told = b""
        for bit, value in ((1, self._size()), (2, UInt32(1) + UInt32(1)), (4, UInt32(self._bits())),
                           (8, UInt32(self._bits()) + UInt32(self._bits()))):  # fmt: skip
            told += value if flags & bit else b""
        if flags & (1 << 31):
            told += UInt32(self._choose([0, 1, 1 << 31])) + self._blob() + self._blob()
        return UInt32(flags) + told


def framed(payload: bytes) -> bytes:
    return UInt32(len(payload)) + payload
