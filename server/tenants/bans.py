"""The table of bans: written by the server that holds them, read by pages and commands, lifted by a command.

A ban is lifted by deleting its row. The server sees that in its next round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from ipaddress import ip_address

from ground.addresses import source_of
from ground.moments import Clock, rfc3339, utc_now
from ground.refusals import Refusal
from importer.queue.ledger import Ledger


class BanRefused(Refusal):
    """A ban that cannot be lifted."""


@dataclass(frozen=True, slots=True)
class Ban:
    """`source` is an IPv4 address or the /64 of an IPv6 one, `until` a moment in RFC 3339."""

    source: str
    until: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


class BanBook:
    """The bans in headcount.db. No ban is longer than `max_s` from now, whatever is written down.

    Everything raises TryAgain when the disk is full or the database busy. Reads through `looking`, if there is one.
    """

    def __init__(
        self, ledger: Ledger, max_s: float, clock: Clock = utc_now, *, looking: Ledger | None = None
    ) -> None:
        self._ledger = ledger
        self._looking = looking or ledger
        self._max_s = max_s
        self._clock = clock

    async def list(self) -> list[Ban]:
        """Return the bans that are not over, the longest first."""
        now = self._clock()
        latest = rfc3339(now + timedelta(seconds=self._max_s))
        rows = await self._looking.read(
            "SELECT source, min(until, ?), reason FROM bans WHERE until > ? ORDER BY 2 DESC, 1", latest, rfc3339(now)
        )
        return [Ban(*row) for row in rows]

    async def sources(self) -> set[str]:
        """Return the sources that are written down, those whose ban is over too."""
        return {row[0] for row in await self._looking.read("SELECT source FROM bans")}

    async def lift(self, source: str) -> Ban:
        """End a ban. Raises BanRefused for what is not an address, and if there is no such ban."""
        wanted = read_source(source)
        found = next((ban for ban in await self.list() if ban.source == wanted), None)
        if found is None or not await self._ledger.change("DELETE FROM bans WHERE source = ?", wanted):
            raise BanRefused("not_banned", f"{wanted} is not banned: headcount ban list shows what is")
        return found

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        """Write these bans, and delete those that are over. Return those of `known` that were lifted meanwhile."""
        lifted = set()
        async with self._ledger.transaction():
            for ban in bans:
                if ban.source not in known:
                    await self._ledger.db.execute(
                        "INSERT OR REPLACE INTO bans (source, until, reason) VALUES (?, ?, ?)",
                        (ban.source, ban.until, ban.reason),
                    )
                    continue
                done = await self._ledger.db.execute(
                    "UPDATE bans SET until = ?, reason = ? WHERE source = ?", (ban.until, ban.reason, ban.source)
                )
                if not done.rowcount:
                    lifted.add(ban.source)
            await self._ledger.db.executemany("DELETE FROM bans WHERE source = ?", [(source,) for source in over])
        return lifted


def read_source(text: str) -> str:
    """Return the source that is meant by an address, or by a /64. Raises BanRefused."""
    try:
        return source_of(ip_address(text.removesuffix("/64")))
    except ValueError:
        raise BanRefused("not_an_address", f"{text!r} is not an IP address, such as 192.0.2.7") from None
