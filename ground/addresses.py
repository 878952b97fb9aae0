"""Network addresses: which of them count as one, and which are public. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
NAT64 = IPv6Network("64:ff9b::/96")


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


def is_public(text: str) -> bool:
    """Return whether the IP address `text` is public, and every address that it contains too."""
    address = ip_address(text.partition("%")[0])
    return all(_is_public(each) for each in _meant(address))


def _is_public(address: Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local  # fec0::/10: `is_global` includes it
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _meant(address: Address) -> list[Address]:
    """Return the addresses that packets may reach: an IPv6 address may stand for an IPv4 one, or lead to it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address.sixtofour]
    if address.teredo:
        return [*address.teredo]
    if int(address) >> 32 == 0:  # ::a.b.c.d, the deprecated form
        return [IPv4Address(int(address))]
    return [address]
