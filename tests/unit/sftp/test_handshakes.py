"""What counts as one source, and how many handshakes it may have open."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from server.sftp.handshakes import Handshakes, source_of


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
def test_what_counts_as_one_source(one: str, other: str, same: bool) -> None:
    assert (source_of(ip_address(one)) == source_of(ip_address(other))) is same


def test_a_source_has_room_again_when_one_leaves() -> None:
    handshakes, address = Handshakes(2), ip_address("192.0.2.1")
    assert [handshakes.enter(address) for _ in range(3)] == [True, True, False]
    assert handshakes.enter(ip_address("192.0.2.2"))
    handshakes.leave(address)
    assert handshakes.enter(address)


def test_nobody_is_remembered_who_is_gone() -> None:
    handshakes = Handshakes(2)
    for number in range(100):
        address = ip_address(number)
        handshakes.enter(address)
        handshakes.leave(address)
    assert not handshakes._open
