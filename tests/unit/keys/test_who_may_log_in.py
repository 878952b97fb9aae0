"""Whether a key may log in now, from an address: expiry and networks."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from keys.errors import KeyRefused
from keys.public import parse_public_key
from keys.ring import Key, end_of, may_log_in, parse_network
from tests.support.keypairs import blob, public_line

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOME = ip_address("192.0.2.7")


def key(expires: str | None = None, networks: tuple[str, ...] = ()) -> Key:
    public = parse_public_key(public_line())
    return Key(public.kind, public.blob, "", "2026-01-01T00:00:00Z", expires, tuple(map(parse_network, networks)))


def allowed(*keys: Key, address: str = "192.0.2.7", now: datetime = NOON) -> bool:
    return may_log_in(keys, "ssh-ed25519", blob(), ip_address(address), now).allowed


def test_a_key_of_the_tenant_may_log_in_and_another_may_not() -> None:
    assert allowed(key())
    assert not allowed()
    assert not may_log_in([key()], "ssh-ed25519", blob(number=1), HOME, NOON).allowed
    assert not may_log_in([key()], "ssh-rsa", blob(), HOME, NOON).allowed


def test_an_expiry_date_is_valid_through_the_end_of_that_day_in_utc() -> None:
    assert allowed(key("2026-06-01"), now=datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC))
    assert not allowed(key("2026-06-01"), now=datetime(2026, 6, 2, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expires", "end"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01t14:00:00+02:00", NOON),
        ("2026-06-01 07:00:00.000-05:00", NOON),
        ("2024-02-29", datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_an_expiry_time_is_rfc_3339_with_its_offset(expires: str, end: datetime) -> None:
    assert end_of(expires) == end


@pytest.mark.parametrize(
    "expires",
    ["", "tomorrow", "2026-6-1", "20260601", "2026-W01-1", "2023-02-29", "2026-06-01T12:00:00",
     "2026-06-01T25:00:00Z", "9999-12-31", "٢٠٢٦-٠٦-٠١", "0001-01-01T00:00:00+23:00"],
)  # fmt: skip
def test_an_expiry_that_is_neither_a_date_nor_a_time_is_refused(expires: str) -> None:
    with pytest.raises(KeyRefused, match="neither a date such as"):
        end_of(expires)


@pytest.mark.parametrize(
    ("networks", "address", "expected"),
    [
        ((), "203.0.113.1", True),
        (("192.0.2.0/24",), "192.0.2.7", True),
        (("192.0.2.0/24",), "192.0.3.7", False),
        (("192.0.2.0/24", "2001:db8::/32"), "2001:db8::1", True),
        (("192.0.2.0/24",), "::ffff:192.0.2.7", True),
        (("::ffff:192.0.2.0/120",), "192.0.2.7", True),
        (("::/0",), "192.0.2.7", False),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("192.0.2.7",), "192.0.2.7", True),
    ],
)
def test_a_key_works_only_from_its_networks(networks: tuple[str, ...], address: str, expected: bool) -> None:
    assert allowed(key(networks=networks), address=address) is expected


@pytest.mark.parametrize(
    "text", ["", "here", "192.0.2.0/33", "192.0.2.7/24", "2001:db8::1/32", "10.0.0.0/8/8", "fe80::1%eth0"]
)
def test_an_invalid_network_is_refused(text: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        parse_network(text)
    assert caught.value.code == "key_network"


def test_an_address_inside_a_network_is_refused_with_the_network_to_use() -> None:
    with pytest.raises(KeyRefused, match=r"did you mean 192\.0\.2\.0/24"):
        parse_network("192.0.2.7/24")
