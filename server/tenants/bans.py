"""The bans: written by the server that holds them, read by pages and commands, lifted by a command.

A ban is lifted by removing it here. The server sees that in its next round.
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
    """The bans that are kept in `store`. No ban is longer than `max_s` from now, whatever is written down.

    Everything raises TryAgain when that cannot be read or written now.
    """

    def __init__(self, store: BanStore, max_s: float, clock: Clock = utc_now) -> None:
        self._store = store
        self._max_s = max_s
        self._clock = clock

    async def list(self) -> list[Ban]:
        """Return the bans that are not over, the longest first."""
        now = self._clock()
        return await self._store.list(now=rfc3339(now), latest=rfc3339(now + timedelta(seconds=self._max_s)))

    async def sources(self) -> set[str]:
        """Return the sources that are written down, those whose ban is over too."""
        return await self._store.sources()

    async def lift(self, source: str) -> Ban:
        """End a ban. Raises BanRefused for what is not an address, and if there is no such ban."""
        wanted = read_source(source)
        found = next((ban for ban in await self.list() if ban.source == wanted), None)
        if found is None or not await self._store.remove(wanted):
            raise BanRefused("not_banned", f"{wanted} is not banned: headcount ban list shows what is")
        return found

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        """Write these bans, and delete those that are over. Return those of `known` that were lifted meanwhile."""
        return await self._store.write(bans, over, known=known)


def read_source(text: str) -> str:
    """Return the source that is meant by an address, or by a /64. Raises BanRefused."""
    try:
        return source_of(ip_address(text.removesuffix("/64")))
    except ValueError:
        raise BanRefused("not_an_address", f"{text!r} is not an IP address, such as 192.0.2.7") from None
