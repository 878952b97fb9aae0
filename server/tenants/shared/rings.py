"""The keys of a tenant in a database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import ip_network

from engine.shared.keys import Change, KeyStore, StoredKey
from ground.addresses import Address
from ground.moments import utc_now
from keys.errors import KeyRefused, RingUnreadable
from keys.ring import Key, Verdict, end_of, find_key, may_log_in, new_key, with_added
from server.tenants.settings import no_tenant


class StoredRing:
    """The `keys.ring.KeyRing` of the tenant with this name in `store`."""

    def __init__(self, store: KeyStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def keys(self) -> tuple[Key, ...]:
        return keys_of(await self._store.of(self._tenant))

    async def find(self, wanted: str) -> Key:
        return find_key(await self.keys(), wanted)

    async def add(
        self,
        text: str,
        comment: str | None = None,
        expires: str | None = None,
        networks: Iterable[str] = (),
        *,
        now: datetime | None = None,
    ) -> Key:
        key = await asyncio.to_thread(new_key, text, comment, expires, networks, now or utc_now())

        def add(before: Sequence[StoredKey]) -> list[StoredKey]:
            with_added(keys_of(before), key)
            return [*before, stored_key(key)]

        await self._change(add)
        return key

    async def revoke(self, wanted: str) -> Key:
        gone: list[Key] = []

        def revoke(before: Sequence[StoredKey]) -> list[StoredKey]:
            gone[:] = [find_key(keys_of(before), wanted)]
            return [each for each in before if each.blob != gone[0].blob]

        await self._change(revoke)
        return gone[0]

    async def _change(self, change: Change) -> None:
        if not await self._store.change(self._tenant, change):
            raise no_tenant(self._tenant)


class KnownKeys:
    """Keys as they were read from the database, for logins."""

    def __init__(self, stored: Iterable[StoredKey]) -> None:
        self._stored = tuple(stored)

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        """Call `may_log_in` with these keys; if they cannot be understood, no login is allowed."""
        try:
            return may_log_in(keys_of(self._stored), kind, blob, address, now)
        except RingUnreadable as error:
            return Verdict(False, str(error))


class UnknownKeys:
    """The keys that cannot be read now: no login is allowed."""

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        return Verdict(False, "the keys cannot be read now")


def keys_of(stored: Iterable[StoredKey]) -> tuple[Key, ...]:
    """Return stored keys as keys. Raises RingUnreadable for one that is not valid."""
    return tuple(map(_key, stored))


def _key(stored: StoredKey) -> Key:
    try:
        if stored.expires is not None:
            end_of(stored.expires)
        networks = tuple(ip_network(text) for text in stored.networks)
    except (ValueError, KeyRefused) as error:
        raise RingUnreadable(f"a key in the database is not valid ({type(error).__name__})") from error
    return Key(stored.kind, stored.blob, stored.comment, stored.added_at, stored.expires, networks)


def stored_key(key: Key) -> StoredKey:
    """Return a key as it is stored."""
    networks = tuple(map(str, key.networks))
    return StoredKey(key.kind, key.blob, key.comment, key.added_at, key.expires, networks)
