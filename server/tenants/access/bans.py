"""The stored bans. The server writes them; pages and commands read them; a command lifts them.

Lifting a ban deletes it here. The server sees that in its next round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from ipaddress import ip_address

from engine.bans import Ban, BanStore
from ground.addresses import source_of
from ground.moments import Clock, rfc3339, utc_now
from ground.refusals import Refusal


class BanRefused(Refusal):
    """A ban that cannot be lifted."""


class BanBook:
    """The bans in `store`. A ban ends at most `max_s` seconds from now, whatever is stored.

    Every method raises TryAgain if the store cannot be read or written now.
    """

    def __init__(self, store: BanStore, max_s: float, clock: Clock = utc_now) -> None:
        self._store = store
        self._max_s = max_s
        self._clock = clock

    async def list(self) -> list[Ban]:
        """Return the current bans, the longest first."""
        now = self._clock()
        return await self._store.list(now=rfc3339(now), latest=rfc3339(now + timedelta(seconds=self._max_s)))

    async def sources(self) -> set[str]:
        """Return all stored sources, including those whose ban has ended."""
        return await self._store.sources()

    async def lift(self, source: str) -> Ban:
        """End a ban. Raises BanRefused if `source` is not an address, or is not banned."""
        wanted = read_source(source)
        found = next((ban for ban in await self.list() if ban.source == wanted), None)
        if found is None or not await self._store.remove(wanted):
            raise BanRefused("not_banned", f"{wanted} is not banned; see: headcount ban list")
        return found

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        """Write `bans` and delete those that are `over`. Return those of `known` that were lifted meanwhile."""
        return await self._store.write(bans, over, known=known)


def read_source(text: str) -> str:
    """Return the source of an address, or of a /64. Raises BanRefused."""
    try:
        return source_of(ip_address(text.removesuffix("/64")))
    except ValueError:
        raise BanRefused("not_an_address", f"“{text}” is not an IP address. Write one such as 192.0.2.7") from None
