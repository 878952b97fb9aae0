"""Parsing of the header of the PROXY protocol, version 2."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.sftp.proxy_header import LONGEST, SIGNATURE, Header, HeaderBroken, parse_header


def header(client: str, *, command: int = 0x21, kind: int | None = None, more: bytes = b"") -> bytes:
    """Return a header as a load balancer writes it, packed by the socket module."""
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    addresses = socket.inet_pton(family, client) * 2 + (40000).to_bytes(2, "big") + (22).to_bytes(2, "big")
    body = addresses + more
    kind = kind if kind is not None else 0x21 if ":" in client else 0x11
    return SIGNATURE + bytes([command, kind]) + len(body).to_bytes(2, "big") + body


@given(st.ip_addresses(), st.binary(max_size=100), st.binary(max_size=100))
def test_the_client_is_read_from_a_header_with_any_bytes_after_it(
    client: IPv4Address | IPv6Address, more: bytes, rest: bytes
) -> None:
    whole = header(str(client), more=more)
    assert parse_header(whole + rest) == Header(len(whole), client)


@given(st.ip_addresses(), st.binary(max_size=30), st.data())
def test_a_part_of_a_header_asks_for_more(
    client: IPv4Address | IPv6Address, more: bytes, data: st.DataObject
) -> None:
    whole = header(str(client), more=more)
    assert parse_header(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.one_of(st.binary(max_size=100), st.binary(max_size=100).map(lambda rest: SIGNATURE + rest)))
@example(b"SSH-2.0-OpenSSH_9.2\r\n")
@example(b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 22\r\n")
def test_any_bytes_are_a_header_too_short_or_refused(data: bytes) -> None:
    try:
        found = parse_header(data)
    except HeaderBroken:
        return
    assert found is None or found.size <= min(len(data), LONGEST)


def test_a_connection_of_the_balancer_itself_has_no_client() -> None:
    bare = SIGNATURE + bytes([0x20, 0x00, 0, 0])
    assert parse_header(bare) == Header(len(bare), None)
    assert parse_header(header("192.0.2.1", command=0x20)) == Header(28, None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SSH-2.0-x", "no PROXY header"),
        (header("192.0.2.1", command=0x11), "version"),
        (header("192.0.2.1", command=0x22), "command"),
        (header("192.0.2.1", kind=0x12), "not TCP"),
        (header("192.0.2.1", kind=0x31), "not TCP"),
        (header("192.0.2.1", kind=0x00), "not TCP"),
        (header("192.0.2.1", kind=0x21), "too short"),
        (SIGNATURE + b"\x21\x11\xff\xff", "65,551 bytes"),
    ],
)
def test_an_unusable_header_is_refused_as_early_as_possible(data: bytes, said: str) -> None:
    with pytest.raises(HeaderBroken, match=said):
        parse_header(data)


def test_an_ipv4_address_mapped_into_ipv6_is_returned_unchanged() -> None:
    found = parse_header(header("::ffff:192.0.2.1"))
    assert found is not None
    assert found.client == ip_address("::ffff:192.0.2.1")
