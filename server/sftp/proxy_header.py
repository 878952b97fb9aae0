"""Parse the header of the PROXY protocol, version 2, which has the address of a load balancer's client. Pure.

See https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2. Only headers of TCP over IPv4 and IPv6
are accepted: others do not have the address of an SFTP client.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from ground.addresses import Address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED = len(SIGNATURE) + 4
LONGEST = 4096
"""Most bytes of a complete header. Balancers add a few hundred bytes (TLVs) after the addresses."""

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}
"""Bytes of an address, by family and protocol (TCP over IPv4, over IPv6). Two addresses, then two ports."""


class HeaderBroken(Exception):  # noqa: N818 - the name of a state
    """The bytes are not a usable header of version 2. The message is a clause for the log."""


@dataclass(frozen=True, slots=True)
class Header:
    """A complete header of `size` bytes. `client` is None for the balancer's own connection (LOCAL)."""

    size: int
    client: Address | None


def parse_header(data: bytes) -> Header | None:
    """Parse the header at the start of `data`. Return None if more bytes are needed. Raises HeaderBroken."""
    if not SIGNATURE.startswith(data[: len(SIGNATURE)]):
        raise HeaderBroken("it sent no PROXY header of version 2")
    if len(data) < FIXED:
        return None
    command, kind = data[12], data[13]
    size = FIXED + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise HeaderBroken(f"its PROXY header has the version and command {command:#04x}")
    if size > LONGEST:
        raise HeaderBroken(f"its PROXY header has {size:,} bytes; at most {LONGEST:,} are allowed")
    wide = _ADDRESS_BYTES.get(kind)
    if command == _PROXY and wide is None:
        raise HeaderBroken(
            f"its PROXY header has the address family and protocol {kind:#04x}, not TCP over IPv4 or IPv6"
        )
    if command == _PROXY and wide is not None and size < FIXED + 2 * wide + 4:
        raise HeaderBroken("its PROXY header is too short for its addresses")
    if len(data) < size:
        return None
    if command == _LOCAL or wide is None:
        return Header(size, None)
    return Header(size, ip_address(data[FIXED : FIXED + wide]))
