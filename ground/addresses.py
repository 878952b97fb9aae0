"""Network addresses, and which of them count as one. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain(address: Address) -> Address:
    """Return the IPv4 address that is written inside an IPv6 one; any other address as it is."""
    return getattr(address, "ipv4_mapped", None) or address


def source_of(address: Address, prefix: int = 64) -> str:
    """Return what counts as one source: an IPv4 address, or the network of an IPv6 one with this `prefix`."""
    meant = plain(address)
    if isinstance(meant, IPv6Address):
        host_bits = 128 - prefix
        return f"{IPv6Address(int(meant) >> host_bits << host_bits)}/{prefix}"
    return str(meant)
