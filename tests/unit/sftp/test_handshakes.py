"""The limits of open handshakes: of one source, and of all."""

from __future__ import annotations

from ipaddress import ip_address

from server.sftp.handshakes import Handshakes


def test_a_source_gets_a_place_when_one_of_its_connections_leaves() -> None:
    handshakes, address = Handshakes(2, 100), ip_address("192.0.2.1")
    assert [handshakes.enter(address) for _ in range(3)] == [True, True, False]
    assert handshakes.enter(ip_address("192.0.2.2"))
    handshakes.leave(address)
    assert handshakes.enter(address)


def test_a_source_without_connections_is_not_kept() -> None:
    handshakes = Handshakes(2, 100)
    for number in range(100):
        address = ip_address(number)
        handshakes.enter(address)
        handshakes.leave(address)
    assert not handshakes._open


def test_all_addresses_of_one_ipv6_network_are_one_source() -> None:
    handshakes = Handshakes(2, 100)
    near = [ip_address("2001:db8:1:2::1"), ip_address("2001:db8:1:2:ffff::9")]
    assert [handshakes.enter(each) for each in [*near, *near]] == [True, True, False, False]
    assert handshakes.enter(ip_address("2001:db8:1:3::1"))


def test_an_ipv4_address_mapped_into_ipv6_is_the_same_source() -> None:
    handshakes = Handshakes(1, 100)
    assert handshakes.enter(ip_address("192.0.2.1"))
    assert not handshakes.enter(ip_address("::ffff:192.0.2.1"))
    assert handshakes.enter(ip_address("::ffff:192.0.2.2"))


def test_a_crowd_of_one_source_gives_way_to_another() -> None:
    handshakes, many, few = Handshakes(10, 3), ip_address("192.0.2.1"), ip_address("192.0.2.2")
    for _ in range(3):
        assert handshakes.gives_way(many) is None
        assert handshakes.enter(many)
    assert not handshakes.enter(few)
    assert handshakes.gives_way(many) is None
    assert handshakes.gives_way(few) == "192.0.2.1"
    handshakes.leave(many)
    assert handshakes.enter(few)


def test_a_source_takes_no_place_of_a_source_without_more_connections() -> None:
    handshakes = Handshakes(10, 3)
    for number in range(3):
        assert handshakes.enter(ip_address(number))
    assert handshakes.gives_way(ip_address(9)) is None
    assert not handshakes.enter(ip_address(9))


def test_a_source_at_its_limit_is_not_the_same_as_no_free_place() -> None:
    handshakes = Handshakes(2, 10)
    one, other = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    assert handshakes.enter(one)
    assert handshakes.enter(one)
    assert handshakes.full_of(one)
    assert not handshakes.full_of(other)
    assert not handshakes.full
    assert handshakes.gives_way(other) == "192.0.2.1"
    assert handshakes.gives_way(one) is None
