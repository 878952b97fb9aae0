"""The last use of each key: time and address, noted in memory at once and written every `WRITE_S` seconds.

So a login never waits for the disk. A crash loses at most the last few seconds. Revoking a key deletes its last use.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from engine.key_uses import KeyUseStore, Use
from ground.moments import Clock, rfc3339, utc_now
from keys.errors import RingUnreadable
from keys.ring import Key, KeyRing
from server.rounds import again
from server.trouble import Trouble

log = logging.getLogger(__name__)

WRITE_S = 5.0


class KeyUses:
    """The last uses of all keys of all tenants. Writes between `start()` and `stop()`."""

    def __init__(self, store: KeyUseStore, ring_of: Callable[[str], KeyRing], clock: Clock = utc_now) -> None:
        self._store = store
        self._ring_of = ring_of
        self._clock = clock
        self._unwritten: dict[str, dict[str, Use]] = {}
        self._in_writing: dict[str, dict[str, Use]] = {}
        self._trouble = Trouble(log, "Writing the uses of keys fails", {"event": "key_uses_unwritten"})
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def used(self, tenant: str, fingerprint: str, address: str) -> None:
        """Note that the key opened a connection now."""
        self._unwritten.setdefault(tenant, {})[fingerprint] = Use(rfc3339(self._clock()), address)
        self._news.set()

    async def of(self, tenant: str) -> dict[str, Use]:
        """Return the last uses by fingerprint, unwritten ones included. A key that was never used is not in it."""
        # Before the read: what is being written then may be in the store only after it.
        noted = self._in_writing.get(tenant, {}) | self._unwritten.get(tenant, {})
        return await self._store.of(tenant) | noted

    async def forget(self, tenant: str, fingerprint: str) -> None:
        """Delete the last use of a revoked key. Raises TryAgain if it cannot be written now."""
        for noted in (self._unwritten, self._in_writing):
            noted.get(tenant, {}).pop(fingerprint, None)
        await self._store.remove(tenant, fingerprint)

    def start(self) -> None:
        self._task = asyncio.create_task(again(self._round, self._not_written, self._ending), name="uses of keys")

    async def stop(self) -> None:
        """Write the remaining uses; log a failure."""
        self._ending.set()
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self._write_all()
        except Exception as error:
            self._not_written(error)

    async def _round(self) -> float:
        await self._news.wait()
        self._news.clear()
        await self._write_all()
        return WRITE_S

    def _not_written(self, error: Exception) -> float:
        self._trouble.met_unless_busy(error)
        return WRITE_S

    async def _write_all(self) -> None:
        """Write all new uses. If this raises, the rest is written next time."""
        self._in_writing, self._unwritten = self._unwritten, {}
        try:
            for tenant in list(self._in_writing):
                await self._write(tenant, dict(self._in_writing[tenant]))
                del self._in_writing[tenant]
        finally:
            for tenant, uses in self._in_writing.items():
                self._unwritten[tenant] = uses | self._unwritten.get(tenant, {})
                self._news.set()
            self._in_writing = {}

    async def _write(self, tenant: str, uses: dict[str, Use]) -> None:
        """Write the uses of one tenant, but not of keys that another process revoked."""
        kept = await _fingerprints(self._ring_of(tenant))
        await self._store.write(tenant, uses, kept)


def with_uses(keys: Iterable[Key], uses: dict[str, Use]) -> list[dict[str, object]]:
    """Return the keys as JSON, each with its last use (None: never)."""
    return [{**key.to_json(), **_shown(uses.get(key.fingerprint))} for key in keys]


def _shown(use: Use | None) -> dict[str, str | None]:
    return {"last_used_at": use.at if use else None, "last_used_from": use.address if use else None}


async def _fingerprints(ring: KeyRing) -> list[str] | None:
    """Return the fingerprints of all keys; None if the ring cannot be read."""
    with suppress(RingUnreadable):
        return [key.fingerprint for key in await ring.keys()]
    return None
