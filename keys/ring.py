"""A tenant's keys: one small file, replaced as a whole and read again when it changes; and which key may log in.

Writers hold a lock on a file beside it, so that two cannot undo each other's change. They write into the lock file
that a key file exists, so a lost key file differs from a tenant without keys. Readers need no lock: the file they
open is always complete. `may_log_in` decides whether a key may log in, from the keys, the offered key, its source and
the time.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from pathlib import Path
from typing import Any

from ground.addresses import Address, Network, plain
from ground.files import replace_file
from ground.moments import utc_now
from keys.errors import KeyRefused, RingUnreadable
from keys.public import PublicKey, checked_comment, fingerprint, parse_public_key

KEYS_MAX = 100
NOTED = b"There is a ring of keys beside this lock.\n"
_MAPPED = IPv6Network("::ffff:0:0/96")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


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


class KeyRing:
    """The keys in the file at `path`; a missing file has none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: tuple[Key, ...] = ()
        self._seen: tuple[int, int, int] | None = None

    def keys(self) -> tuple[Key, ...]:
        """Return the keys on disk now, oldest first. Raises RingUnreadable."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            self._keys, self._seen = (), None
            return ()
        except OSError as error:
            raise RingUnreadable(f"{self.path} cannot be read: {error.strerror}") from error
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if seen != self._seen:
            self._keys = _read(self.path)
            self._seen = seen
        return self._keys

    def to_json(self) -> list[dict[str, Any]]:
        """Return all keys, for people and programs. Raises RingUnreadable."""
        return [key.to_json() for key in self.keys()]

    def find(self, wanted: str) -> Key:
        """Return the key with this fingerprint (`SHA256:` may be left out). Raises KeyRefused if there is none."""
        return _found(self.keys(), wanted)

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        """Call `may_log_in` with the present keys; if they cannot be read, no login is allowed."""
        try:
            return may_log_in(self.keys(), kind, blob, address, now)
        except RingUnreadable as error:
            return Verdict(False, str(error))

    def add(
        self,
        text: str,
        comment: str | None = None,
        expires: str | None = None,
        networks: Iterable[str] = (),
        *,
        now: datetime | None = None,
    ) -> Key:
        """Add the one key in `text` (a line of a .pub file); it is on disk when this returns. Raises KeyRefused."""
        moment = now or utc_now()
        public = parse_public_key(text)
        key = _key(public, comment, expires, networks, moment)
        with self._writing() as before:
            if any(other.blob == key.blob for other in before):
                raise KeyRefused("key_duplicate", f"this key is already added ({key.fingerprint})")
            if len(before) >= KEYS_MAX:
                raise KeyRefused("key_too_many", f"at most {KEYS_MAX} keys are allowed; revoke one first")
            _write(self.path, (*before, key))
        return key

    def revoke(self, wanted: str) -> Key:
        """Remove the key with this fingerprint (`SHA256:` may be left out); the change is on disk when this returns.

        Raises KeyRefused if there is none.
        """
        if self._is_missing():  # a lock file without a key file would mean that it was lost
            raise _unknown(wanted)
        with self._writing() as before:
            gone = _found(before, wanted)
            _write(self.path, tuple(key for key in before if key is not gone))
        return gone

    @contextmanager
    def _writing(self) -> Iterator[tuple[Key, ...]]:
        """Yield the present keys, while no other writer can change them."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.keys()
            self._note(lock)
        finally:
            os.close(lock)

    def is_lost(self) -> bool:
        """Return whether there was a key file and is none now.

        One lost before `note` was ever called is not detected.
        """
        return self._is_missing() and self._is_noted()

    def note(self) -> None:
        """Record that the key file exists, if it does, so that its loss can be detected. Raises OSError."""
        if not self._is_missing() and not self._is_noted():
            with self._writing():
                pass

    def _is_noted(self) -> bool:
        try:
            return os.stat(self._lock, follow_symlinks=False).st_size > 0
        except OSError:
            return False

    def _note(self, lock: int) -> None:
        # The key file is on disk before this is written: a lock file with content had a key file beside it.
        if not os.fstat(lock).st_size and not self._is_missing():
            os.write(lock, NOTED)

    def _is_missing(self) -> bool:
        return not os.path.lexists(self.path)

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")


def _found(keys: Iterable[Key], wanted: str) -> Key:
    name = _name(wanted)
    found = next((key for key in keys if key.fingerprint == name), None)
    if found is None:
        raise _unknown(wanted)
    return found


def _unknown(wanted: str) -> KeyRefused:
    return KeyRefused("key_unknown", f"there is no key {_name(wanted)}; see the list of keys")


def _name(wanted: str) -> str:
    return f"SHA256:{wanted.strip().removeprefix('SHA256:').rstrip('=')}"


def _key(public: PublicKey, comment: str | None, expires: str | None, networks: Iterable[str], now: datetime) -> Key:
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


def _read(path: Path) -> tuple[Key, ...]:
    try:
        data = json.loads(path.read_bytes())
        return tuple(Key.from_json(entry) for entry in data["keys"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, KeyRefused) as error:
        raise RingUnreadable(f"{path} is not a key file ({type(error).__name__})") from error


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    content = json.dumps({"keys": [key.to_json() for key in keys]}, indent=2, ensure_ascii=False)
    replace_file(path, content.encode() + b"\n")
