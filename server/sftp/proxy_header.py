"""The header of the PROXY protocol, version 2: the address of the client of a load balancer. Pure.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2. Only TCP over IPv4 and IPv6 is read: a
balancer that passes on anything else cannot say where an SFTP client comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from ground.addresses import Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED = len(SIGNATURE) + 4
LONGEST = 4096
"""Bytes of a whole header. What balancers add after the addresses (TLVs) is a few hundred bytes."""

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
"""By family and protocol: TCP over IPv4, TCP over IPv6. Two addresses are followed by two ports of 2 bytes."""


class HeaderBroken(Exception):  # noqa: N818 - what is the case
    """The bytes are not a header of version 2 that can be used; the message is a clause for the log."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header of `size` bytes. `client` is None for a connection of the balancer's own (LOCAL)."""

    size: int
    client: Address | None


def parse_header(data: bytes) -> Header | None:
    """Read the header that `data` begins with. Return None where more bytes are needed. Raises HeaderBroken."""
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        raise HeaderBroken("it sent no PROXY header of version 2")
    if len(data) < FIXED:
        return None
    command, kind = data[12], data[13]
    size = FIXED + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise HeaderBroken(f"its PROXY header has the version and command {command:#04x}")
    if size > LONGEST:
        raise HeaderBroken(f"its PROXY header has {size} bytes, more than {LONGEST}")
    wide = _ADDRESS_BYTES.get(kind)
    if command == _PROXY and wide is None:
        raise HeaderBroken(f"its PROXY header is not of TCP over IPv4 or IPv6, but of {kind:#04x}")
    if command == _PROXY and wide is not None and size < FIXED + 2 * wide + 4:
        raise HeaderBroken("its PROXY header is too short for its addresses")
    if len(data) < size:
        return None
    if command == _LOCAL or wide is None:
        return Header(size, None)
    return Header(size, ip_address(data[FIXED : FIXED + wide]))
