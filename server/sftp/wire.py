"""Make the library's connection lean, without a change of the wire that matters to a client.

In the library, four things take more than half of the time of a transfer. It sends an empty packet before each packet
(only CBC ciphers need that). It formats a log line for each packet. It copies the content of packets. It makes a
system call for each packet. This module depends on internals of asyncssh (see
tests/unit/sftp/test_asyncssh_inside.py).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE
from asyncssh.encryption import ChachaEncryption

from server.sftp.chacha import LeanChacha

LEAST_PADDING = 4
"""Least bytes of padding after the content of a packet (RFC 4253, section 6)."""

AT_ONCE = 256 * 1024
"""Bytes sent with one system call: the length of the longest answer."""


def make_lean(conn: asyncssh.SSHServerConnection) -> Corked:
    """Make a new connection lean. Return the transport that it sends with from now on."""
    inside: Any = conn
    send = conn.send_packet

    def send_packet(pkttype: int, *args: bytes, **options: Any) -> None:
        if pkttype == MSG_CHANNEL_DATA and _may_go_out(inside):
            _send_data(inside, args)
        elif pkttype != MSG_IGNORE or inside._enc_alg_sc.endswith(b"-cbc"):
            send(pkttype, *args, **options)

    inside.send_packet = send_packet
    inside.log_sent_packet = inside.log_received_packet = _no_line
    _make_ciphers_lean(inside)
    acknowledge_at_once(inside)
    inside._transport = transport = Corked(inside._transport)
    return transport


def _may_go_out(inside: Any) -> bool:
    """Return whether `_send_data` may send: no key exchange is running or due, and no other packet must go first."""
    return (
        inside._auth_complete
        and inside._kex_complete
        and inside._rekey_bytes_sent < inside._rekey_bytes
        and not (inside._rekey_seconds and time.monotonic() >= inside._rekey_time)
        and not inside._enc_alg_sc.endswith(b"-cbc")
    )


def _send_data(inside: Any, args: tuple[bytes, ...]) -> None:
    """Send a packet of data as the library does, but copy it once instead of six times. (Compression is off.)"""
    size = 1 + sum(map(len, args))
    padding = -(inside._send_enchdrlen + size) % inside._send_blocksize
    if padding < LEAST_PADDING:
        padding += inside._send_blocksize
    packet = b"".join((bytes((padding, MSG_CHANNEL_DATA)), *args, os.urandom(padding)))
    seq = inside._send_seq
    for part in inside._send_encryption.encrypt_packet(seq, len(packet).to_bytes(4, "big"), packet):
        inside._send(part)
    inside._send_seq = (seq + 1) & 0xFFFFFFFF
    inside._rekey_bytes_sent += len(packet)


def send_at_once(channel: Any) -> None:
    """Send data directly if it fits the client's window; the library copies it into a buffer and out of it again.

    While the buffer holds data, the window is full, so the order of the data is kept.
    """
    write = channel.write

    def written(data: bytes, datatype: int | None = None) -> None:
        size = len(data)
        room = min(channel._send_window, channel._send_pktsize)
        if channel._send_state != "open" or datatype is not None or not 0 < size <= room:
            write(data, datatype)
            return
        channel._send_window -= size
        head = channel._send_chan.to_bytes(4, "big") + size.to_bytes(4, "big")
        channel.get_connection().send_packet(MSG_CHANNEL_DATA, head, data, handler=channel)

    channel.write = written


def acknowledge_at_once(inside: Any) -> None:
    """Acknowledge received TCP data at once until the login is complete.

    Until then OpenSSH's client uses Nagle's algorithm. After its NEWKEYS, which gets no answer, it waits for the TCP
    acknowledgment, which the kernel would delay by 40 ms.
    """
    receive, sock = inside.data_received, inside._transport.get_extra_info("socket")

    def data_received(data: bytes, datatype: None = None) -> None:
        receive(data, datatype)
        if inside._auth_complete or inside._transport is None:
            del inside.data_received
        else:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    inside.data_received = data_received


def _make_ciphers_lean(inside: Any) -> None:
    """Replace the chacha20-poly1305 ciphers after each key exchange."""
    send_newkeys = inside.send_newkeys

    def sent(k: bytes, h: bytes) -> None:
        send_newkeys(k, h)
        for each in (inside._send_encryption, inside._next_recv_encryption):
            if isinstance(each, ChachaEncryption):
                within: Any = each
                within._cipher = LeanChacha(within._cipher._key, within._cipher._adkey)

    inside.send_newkeys = sent


def no_lines(channel: Any) -> None:
    """Format no log lines for the packets of this channel."""
    channel.log_sent_packet = channel.log_received_packet = _no_line


def keep_no_environment(channel: Any) -> None:
    """Refuse every environment variable of a client: none is used, and the library would keep any number of them."""
    channel._process_env_request = _refused


def _refused(_packet: object) -> bool:
    return False


def _no_line(*_: object, **__: object) -> None:
    pass


class Corked:
    """A transport that sends all data of one step of the event loop with one system call."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pending: list[bytes] = []
        self._size = 0
        self._linger: tuple[float, Callable[[Corked], None]] | None = None
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= AT_ONCE:
            self._flush()
        elif len(self._pending) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._size = 0
            self._transport.write(data)

    def read_at_once(self, most: int) -> None:
        """Read at most `most` bytes in one step of the event loop. (asyncio reads 256 KiB: 1.5 ms of work.)"""
        cast(Any, self._transport).max_size = most

    def linger(self, seconds: float, left: Callable[[Corked], None]) -> None:
        """On `abort`, keep the socket open for `seconds` so that the data arrives; then close it and call `left`.

        A socket that is closed with unread bytes resets the connection, and the client may not see that data.
        """
        self._linger = seconds, left

    def abort(self) -> None:
        self._flush()
        if self._linger is None:
            self._transport.abort()
        else:
            self._transport.pause_reading()
            self._loop.call_later(self._linger[0], self.leave)

    def leave(self) -> None:
        """Close the socket at once."""
        self._transport.abort()
        if self._linger is not None:
            self._linger[1](self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
