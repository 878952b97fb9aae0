"""Network addresses, and which of them count as one. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain(address: Address) -> Address:
    """Return the IPv4 address that is written inside an IPv6 one; any other address as it is."""
    return getattr(address, "ipv4_mapped", None) or address


def source_of(address: Address) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one."""
    meant = plain(address)
    if isinstance(meant, IPv6Address):
        return str(IPv6Address(int(meant) >> 64 << 64)) + "/64"
    return str(meant)
