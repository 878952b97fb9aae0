"""The addresses that count as one source."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ground.addresses import source_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_an_ipv4_address_or_an_ipv6_64_is_one_source(one: str, other: str, same: bool) -> None:
    assert (source_of(ip_address(one)) == source_of(ip_address(other))) is same


def test_a_shorter_prefix_makes_more_addresses_one_source() -> None:
    one, other = ip_address("2001:db8::1"), ip_address("2001:db8:0:ffff::1")
    assert source_of(one, 48) == source_of(other, 48) == "2001:db8::/48"
    assert source_of(one, 48) != source_of(ip_address("2001:db8:1::1"), 48)
    assert source_of(ip_address("192.0.2.1"), 48) == "192.0.2.1"
