"""Random requests, many of them cut or wrong: the server continues to answer, and its counts stay correct."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable
from contextlib import suppress

import asyncssh
import pytest
from asyncssh import constants as c
from asyncssh.packet import String, UInt32, UInt64

from tests.support.sftp import SftpHouse
from tests.support.waiting import eventually

PATHS = [
    b"sync_users.csv",
    b"test/sync_users.csv",
    b"a",
    b"b",
    b"d",
    b"d/e",
    b"d/f",
    b"",
    b"/",
    b"..",
    b"results/x",
    b"\0",
]
FLAGS = [1, 2, 3, 0x1A, 0x1A, 0x1B, 0x0E, 0x2A]
WEIGHTS = [6, 6, 2, 12] + [1] * 14
"""Requests, with open, write and close more often than the rest."""

REQUESTS = 4_000
CONNECTIONS = 8


class Requests:
    """A source of requests; the same seed gives the same requests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        choose, number = self._random.choice, self._random.randrange
        path: Callable[[], bytes] = lambda: String(choose(PATHS))  # noqa: E731
        handle: Callable[[], bytes] = lambda: String(UInt32(number(30)))  # noqa: E731
        offset: Callable[[], bytes] = lambda: UInt64(choose([0, 1, 100, 5000, 1 << 40, 1 << 63]))  # noqa: E731
        data: Callable[[], bytes] = lambda: String(b"x" * choose([0, 1, 100, 5000]))  # noqa: E731
        size: Callable[[], bytes] = lambda: UInt32(1) + UInt64(choose([0, 10, 7000, 1 << 50]))  # noqa: E731
        times: Callable[[], bytes] = lambda: UInt32(8) + UInt32(number(1 << 32)) + UInt32(number(1 << 32))  # noqa: E731
        attrs: Callable[[], bytes] = lambda: choose([UInt32(0), UInt32(4) + UInt32(0o777), size(), times()])  # noqa: E731
        extended = c.FXP_EXTENDED
        self._shapes: list[Callable[[], tuple[int, bytes]]] = [
            lambda: (c.FXP_OPEN, path() + UInt32(choose([*FLAGS, number(64)])) + UInt32(0)),
            lambda: (c.FXP_WRITE, handle() + offset() + data()),
            lambda: (c.FXP_READ, handle() + offset() + UInt32(number(1 << 32))),
            lambda: (c.FXP_CLOSE, handle()),
            lambda: (c.FXP_FSETSTAT, handle() + attrs()),
            lambda: (c.FXP_SETSTAT, path() + attrs()),
            lambda: (c.FXP_OPENDIR, path()),
            lambda: (c.FXP_READDIR, handle()),
            lambda: (c.FXP_REMOVE, path()),
            lambda: (c.FXP_MKDIR, path() + UInt32(0)),
            lambda: (c.FXP_RMDIR, path()),
            lambda: (c.FXP_RENAME, path() + path()),
            lambda: (extended, String(b"posix-rename@openssh.com") + path() + path()),
            lambda: (extended, String(b"fsync@openssh.com") + handle()),
            lambda: (choose([c.FXP_STAT, c.FXP_LSTAT, c.FXP_REALPATH, c.FXP_READLINK]), path()),
            lambda: (c.FXP_SYMLINK, path() + path()),
            lambda: (extended, String(choose([b"copy-data", b"statvfs@openssh.com"])) + path()),
            lambda: (number(256), self._random.randbytes(number(40))),
        ]  # fmt: skip

    def one(self) -> bytes:
        """Return a complete packet; its content is sometimes cut or too long."""
        kind, content = self._random.choices(self._shapes, WEIGHTS)[0]()
        body = UInt32(self._random.randrange(1 << 32)) + content
        if self._random.random() < 0.1:
            body = body[: 4 + self._random.randrange(len(body) - 3)]  # a packet without an id would end the session
        elif self._random.random() < 0.05:
            body += self._random.randbytes(7)
        return UInt32(len(body) + 1) + bytes([kind]) + body


async def test_random_requests_leave_nothing_open_and_the_total_correct(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.client():
        pass
    await house.nothing_open()
    before = len(os.listdir("/proc/self/fd"))
    for seed in range(CONNECTIONS):
        await _send(house, Requests(seed))
    await house.nothing_open()
    # A thread closes long files, and sockets are closed a moment after their sessions.
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 1, what="all descriptors to be closed")
    assert await house.counts_truly()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    for hook in (house.real, house.dry):
        assert hook.events.count("arriving") == hook.events.count("landed") > 0
    assert {*house.names()} >= {"results", "test"}
    assert house.names("results") == []


async def _send(house: SftpHouse, requests: Requests) -> None:
    async with house.connect() as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        writer.write(UInt32(5) + bytes([c.FXP_INIT]) + UInt32(3))
        answers = asyncio.ensure_future(_take(reader))
        with suppress(asyncssh.Error, OSError):
            for number in range(REQUESTS // CONNECTIONS):
                writer.write(requests.one())
                if number % 20 == 0:
                    await writer.drain()
            writer.write_eof()
        await asyncio.wait_for(answers, 30)


async def _take(reader: asyncssh.SSHReader[bytes]) -> None:
    with suppress(asyncssh.Error, OSError):
        while await reader.read(65536):
            pass
