"""How many handshakes one source may have open."""

from __future__ import annotations

from ipaddress import ip_address

from server.sftp.handshakes import Handshakes


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
