"""The addresses that a webhook may reach: public ones, unless the operator allows others. Pure.

Owners choose where webhooks go. They must not make the server connect to hosts that only it can reach.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Return whether the IP address `text` is public, and every address that it contains too."""
    address = ip_address(text.partition("%")[0])
    return all(_is_public(each) for each in _meant(address))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    site_local = isinstance(address, IPv6Address) and address.is_site_local  # fec0::/10: `is_global` includes it
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _meant(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
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
