"""A tenant's keys: which key may log in, and what may be added or revoked. Pure.

`may_log_in` decides whether a key may log in, from the keys, the offered key, its source and the time. `KeyRing` is
the keys of one tenant, wherever they are stored.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Any, Protocol

from ground.addresses import Address, Network, plain
from keys.errors import KeyRefused
from keys.public import checked_comment, fingerprint, parse_public_key

KEYS_MAX = 100
_MAPPED = IPv6Network("::ffff:0:0/96")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class KeyRing(Protocol):
    """The keys of one tenant. A change is on disk when its method returns, and no other change is lost by it.

    The methods raise RingUnreadable if the keys cannot be read or understood; those of a database also what its
    store raises.
    """

    async def keys(self) -> tuple[Key, ...]:
        """Return the keys as they are now, oldest first."""

    async def find(self, wanted: str) -> Key:
        """Return the key with this fingerprint (`SHA256:` may be left out). Raises KeyRefused if there is none."""

    async def add(
        self,
        text: str,
        comment: str | None = None,
        expires: str | None = None,
        networks: Iterable[str] = (),
        *,
        now: datetime | None = None,
    ) -> Key:
        """Add the one key in `text` (a line of a .pub file). Raises KeyRefused."""

    async def revoke(self, wanted: str) -> Key:
        """Remove the key with this fingerprint (`SHA256:` may be left out). Raises KeyRefused if there is none."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a tenant.

    `expires` is as given: a date (valid through the end of that day, UTC) or an RFC 3339 time. Without networks the
    key may log in from anywhere. `added_at` is RFC 3339 in UTC.
    """

    kind: str
    blob: bytes
    comment: str
    added_at: str
    expires: str | None = None
    networks: tuple[Network, ...] = ()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= end_of(self.expires)

    def to_json(self) -> dict[str, Any]:
        """Return the key for people and programs; the key itself is as in a .pub file."""
        return {
            "fingerprint": self.fingerprint,
            "type": self.kind,
            "key": base64.b64encode(self.blob).decode("ascii"),
            "comment": self.comment,
            "added_at": self.added_at,
            "expires": self.expires,
            "networks": [str(network) for network in self.networks],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Key:
        expires = data["expires"]
        if expires is not None:
            end_of(expires)
        return cls(
            kind=str(data["type"]),
            blob=base64.b64decode(data["key"], validate=True),
            comment=str(data["comment"]),
            added_at=str(data["added_at"]),
            expires=expires,
            networks=tuple(ip_network(text) for text in data["networks"]),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a key may log in; `reason` is for the log, `key` is the matching key."""

    allowed: bool
    reason: str
    key: Key | None = None


def may_log_in(keys: Iterable[Key], kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
    """Decide whether the key `blob` (SSH wire format, of type `kind`) may log in from `address` at `now`."""
    for key in keys:
        if key.blob == blob and key.kind == kind:
            if key.expired(now):
                return Verdict(False, f"the key expired ({key.expires})", key)
            if key.networks and not any(plain(address) in network for network in key.networks):
                return Verdict(False, "the key is not allowed from this address", key)
            return Verdict(True, "the key fits", key)
    return Verdict(False, "the tenant has no such key")


def end_of(expires: str) -> datetime:
    """Return the moment from which a key with this expiry is no longer valid.

    Raises KeyRefused if it is neither a date (`2027-01-31`: through the end of that day, UTC) nor an RFC 3339 time.
    """
    try:
        if _DATE.fullmatch(expires):
            return datetime.combine(date.fromisoformat(expires) + timedelta(days=1), time(), UTC)
        if _TIME.fullmatch(expires):
            return datetime.fromisoformat(expires.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the format is right, but there is no such day or hour
    raise KeyRefused(
        "key_expires",
        f"“{repr(expires)[1:-1]}” is neither a date such as 2027-01-31 nor a time such as 2027-01-31T18:00:00Z",
    )


def parse_network(text: str) -> Network:
    """Parse an IPv4 or IPv6 network in CIDR notation, or one address. Raises KeyRefused."""
    try:
        given = ip_interface(text.strip())
        network = ip_network(given.network)
    except ValueError:
        message = f"“{repr(text)[1:-1]}” is not a network such as 192.0.2.0/24 or 2001:db8::/32"
        raise KeyRefused("key_network", message) from None
    if given.ip != network.network_address:
        raise KeyRefused(
            "key_network", f"“{repr(text)[1:-1]}” is an address inside a network; did you mean {network}?"
        )
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network


def new_key(text: str, comment: str | None, expires: str | None, networks: Iterable[str], now: datetime) -> Key:
    """Return the one key in `text` (a line of a .pub file), added at `now`. Raises KeyRefused."""
    public = parse_public_key(text)
    if expires is not None and end_of(expires) <= now:
        raise KeyRefused("key_expires", f"the expiry {expires} is already past; use a later one")
    return Key(
        kind=public.kind,
        blob=public.blob,
        comment=public.comment if comment is None else checked_comment(comment),
        added_at=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        expires=expires,
        networks=tuple(parse_network(text) for text in networks),
    )


def with_added(keys: Sequence[Key], key: Key) -> tuple[Key, ...]:
    """Return the keys with one more. Raises KeyRefused if it is one of them, or they are too many."""
    if any(other.blob == key.blob for other in keys):
        raise KeyRefused("key_duplicate", f"this key is already added ({key.fingerprint})")
    if len(keys) >= KEYS_MAX:
        raise KeyRefused("key_too_many", f"at most {KEYS_MAX} keys are allowed; revoke one first")
    return *keys, key


def find_key(keys: Iterable[Key], wanted: str) -> Key:
    """Return the key with this fingerprint (`SHA256:` may be left out). Raises KeyRefused if there is none."""
    name = _name(wanted)
    found = next((key for key in keys if key.fingerprint == name), None)
    if found is None:
        raise unknown_key(wanted)
    return found


def unknown_key(wanted: str) -> KeyRefused:
    return KeyRefused("key_unknown", f"there is no key {_name(wanted)}; see the list of keys")


def _name(wanted: str) -> str:
    return f"SHA256:{wanted.strip().removeprefix('SHA256:').rstrip('=')}"
