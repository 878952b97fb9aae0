"""A connection that ends without a login leaves nothing behind: no object, no task, no descriptor, no count."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import NameList, String, UInt32

from server.sftp.connection import Connection
from server.sftp.front import Forwarded, _Arrival
from server.sftp.proxy_header import SIGNATURE
from server.sftp.wire import Corked
from tests.support.keypairs import keypair
from tests.support.sftp import HOST, SftpHouse, sftp_house
from tests.support.waiting import eventually

EACH = 60
BALANCER = "127.0.0.9"
VERSION = b"SSH-2.0-x\r\n"
OF_THE_SERVER = (_Arrival, Forwarded, Connection, Corked, asyncssh.SSHServerConnection)
OF_A_CONNECTION = (*OF_THE_SERVER, asyncio.Task, asyncio.Transport, asyncio.Future, socket.socket)
WRONG = keypair("ssh-ed25519", number=30)

Meeting = Callable[[SftpHouse], Awaitable[None]]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    """A listener that bans no address and has a load balancer."""
    async with sftp_house(tmp_path, unbanned_networks="127.0.0.0/8", trusted_balancers=BALANCER) as house:
        yield house


def packet(payload: bytes) -> bytes:
    padding = 16 - (len(payload) + 5) % 8
    return UInt32(len(payload) + padding + 1) + bytes([padding]) + payload + bytes(padding)


def key_exchange() -> bytes:
    """Return a KEXINIT that shares all algorithms with the server."""
    mac = [b"hmac-sha2-256-etm@openssh.com"]
    lists = [[b"curve25519-sha256"], [b"ssh-ed25519"], *([[b"aes128-ctr"]] * 2), mac, mac, *([[b"none"]] * 2), [], []]
    return packet(b"\x14" + os.urandom(16) + b"".join(map(NameList, lists)) + b"\0" + UInt32(0))


def says(*parts: bytes, until: bytes = b"", source: str = HOST) -> Meeting:
    """Return a client that sends `parts` and ends its side, or disconnects once it has received `until`."""

    async def meet(house: SftpHouse) -> None:
        reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(source, 0))
        with suppress(OSError):
            writer.writelines(parts)
            if until:
                await asyncio.wait_for(reader.readuntil(until), 30)
            else:
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 30)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    return meet


async def resets(house: SftpHouse) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (HOST, house.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def offers_a_wrong_key(house: SftpHouse) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with house.connect(client_keys=[WRONG]):
            pass


def proxied(rest: bytes) -> bytes:
    body = socket.inet_aton("192.0.2.7") + socket.inet_aton(HOST) + bytes(4)
    return SIGNATURE + b"\x21\x11" + len(body).to_bytes(2, "big") + body + rest


MEETINGS: dict[str, Meeting] = {
    "nothing": says(),
    "nothing-and-leaves": says(until=b"SSH-2.0-"),
    "garbage": says(b"\x00\xff" * 500),
    "version": says(VERSION),
    "no-shared-algorithm": says(VERSION, packet(b"\x14" + bytes(16) + UInt32(0) * 10 + b"\0" + UInt32(0))),
    "key-exchange": says(VERSION, key_exchange()),
    "key-exchange-and-leaves": says(VERSION, key_exchange(), until=b"ext-info"),
    "key-exchange-begun": says(VERSION, key_exchange(), packet(b"\x1e" + String(bytes([9]) + bytes(31)))),
    "reset": resets,
    "wrong-key": offers_a_wrong_key,
    "balancer-cut": says(SIGNATURE, source=BALANCER),
    "balancer-garbage": says(b"GET / HTTP/1.1\r\n\r\n", source=BALANCER),
    "balancer-local": says(SIGNATURE + b"\x20\x00\x00\x00", source=BALANCER),
    "balancer-client": says(proxied(VERSION), source=BALANCER),
}


@pytest.mark.parametrize("meeting", MEETINGS.values(), ids=MEETINGS)
async def test_nothing_is_left_of_connections_without_a_login(
    house: SftpHouse, meeting: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")  # a captured record would keep the objects that it names
    of_other_tests = _of_connections(OF_THE_SERVER)
    await _meets(house, meeting, 5)  # makes the objects that are made once and kept
    await eventually(lambda: not _more_than(of_other_tests, OF_THE_SERVER), what="the connections to end")
    objects, descriptors = _of_connections(), len(os.listdir("/proc/self/fd"))
    await _meets(house, meeting, EACH)
    await eventually(lambda: not _more_than(objects, OF_THE_SERVER), what="the server's objects to be freed")
    await eventually(lambda: not _one_each(_more_than(objects, OF_A_CONNECTION)), what="all objects to be freed")
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, what="all descriptors to be closed")
    entrance = house.listener._sessions.entrance
    assert entrance.handshakes._open == {}
    assert entrance._lingering == set()


async def _meets(house: SftpHouse, meeting: Meeting, times: int) -> None:
    for _ in range(times // 5):
        await asyncio.gather(*(meeting(house) for _ in range(5)))
    sessions = house.listener._sessions
    await eventually(lambda: not sessions.connections and not sessions.tasks, what="all connections to end")


def _more_than(before: Counter[str], kinds: tuple[type, ...]) -> Counter[str]:
    """Return how many more objects of these kinds there are than before."""
    return _of_connections(kinds) - before


def _one_each(found: Counter[str]) -> list[str]:
    """Return the kinds of which every connection may have left one. The server itself has a few at times."""
    return [kind for kind, count in found.items() if count >= EACH // 4]


def _of_connections(kinds: tuple[type, ...] = OF_A_CONNECTION) -> Counter[str]:
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))
