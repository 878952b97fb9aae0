"""How webhooks are signed, and which addresses they may reach."""

from __future__ import annotations

import pytest

from ground.addresses import is_public
from server.notify.retries import THREE_DAYS
from server.signing import signature


def test_a_signature_matches_the_example_of_the_specification() -> None:
    """The example of Standard Webhooks' own libraries."""
    secret, message_id, timestamp = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
    )
    found = signature(secret, message_id, timestamp, [b'{"test": ', b"2432232314}"])
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:a00:1::1", "2002:7f00:1::",
        "::127.0.0.1", "::a00:1",
    ],
)  # fmt: skip
def test_private_addresses_are_recognized_in_every_notation(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


def test_waits_grow_and_end_after_about_three_days() -> None:
    waits = [THREE_DAYS.wait_s(attempt) for attempt in range(1, THREE_DAYS.tries)]
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == 4 * 3600
    assert 2.5 * 86400 < sum(waits) < 3 * 86400
    assert not THREE_DAYS.end(THREE_DAYS.tries - 1)
    assert THREE_DAYS.end(THREE_DAYS.tries)
    assert THREE_DAYS.wait_s(10_000) == THREE_DAYS.waits.longest_s
