"""The caps that follow from the descriptors of a process."""

from __future__ import annotations

import sys

import pytest

from server.descriptors import kept, lowered
from server.sftp.caps import MOST_CONNECTIONS, MOST_HANDSHAKES, PER_CONNECTION, PER_HANDLE, Caps, caps_of


def caps(limit: int, connections: int | None = None, handshakes: int | None = None, handles: int = 1000) -> Caps:
    return caps_of(limit, connections=connections, handshakes=handshakes, tenant_handles=handles)


@pytest.mark.parametrize("limit", [64, 256, 1024, 4096, 65_536, 1_048_576, sys.maxsize])
def test_connections_handles_and_the_reserve_fit_into_the_limit(limit: int) -> None:
    found = caps(limit)
    assert found.connections * PER_CONNECTION + found.descriptors + kept(limit) <= limit
    assert 1 <= found.handshakes <= max(1, found.connections // 2)
    assert found.tenant_handles * PER_HANDLE * 2 <= found.descriptors or found.tenant_handles == 1


def test_a_usual_limit_leaves_one_tenant_less_than_half_of_all() -> None:
    assert caps(1024) == Caps(connections=128, handshakes=64, tenant_handles=96, descriptors=384)


def test_many_descriptors_do_not_raise_the_caps_beyond_memory() -> None:
    found = caps(sys.maxsize)
    assert (found.connections, found.handshakes) == (MOST_CONNECTIONS, MOST_HANDSHAKES)


def test_a_setting_is_used_as_far_as_there_are_descriptors() -> None:
    assert caps(65_536, connections=10_000).connections == 10_000
    assert caps(65_536, connections=3, handshakes=9) == Caps(3, 3, 1000, caps(65_536).descriptors)
    assert caps(1024, connections=20_000).connections == 128
    assert caps(1024, connections=20_000, handshakes=20_000).handshakes == 128
    assert caps(1024, handles=5).tenant_handles == 5


@pytest.mark.parametrize("limit", [64, 256, 1024, 4096, 65_536])
def test_no_setting_takes_more_descriptors_than_there_are(limit: int) -> None:
    found = caps(limit, connections=1_000_000, handshakes=1_000_000, handles=1_000_000)
    assert found.connections * PER_CONNECTION + found.descriptors + kept(limit) <= limit


def test_a_setting_above_its_cap_is_named_with_both_numbers() -> None:
    chosen = {"max_connections": 500, "max_handshakes": 5, "max_auth_tries": 9, "max_handles": None}
    assert list(lowered(chosen, {"max_connections": 128, "max_handshakes": 64, "max_handles": 96})) == [
        "MAX_CONNECTIONS is 500, but the descriptors of this process (ulimit -n) allow 128. The server uses 128."
    ]


def test_not_all_waiting_connections_are_accepted_before_one_is_counted() -> None:
    assert caps(256).accepted_at_once < 256 - kept(256)
    assert caps(65_536).accepted_at_once == 512
