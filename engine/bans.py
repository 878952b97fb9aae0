"""The bans of source addresses, as they are kept. A ban is lifted by removing it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ban:
    """`source` is an IPv4 address or the /64 of an IPv6 one, `until` a moment in RFC 3339."""

    source: str
    until: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


class BanStore(Protocol):
    """The bans of one server, by source."""

    async def list(self, *, now: str, latest: str) -> list[Ban]:
        """Bans that are not over at `now`, the longest first. One that ends after `latest` is said to end then."""

    async def sources(self) -> set[str]:
        """The sources that are written down, those whose ban is over too."""

    async def remove(self, source: str) -> bool:
        """Remove a ban. Whether there was one."""

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        """Write these bans, and remove those that are over: all or none of it.

        A ban of a source in `known` that is not there any more was lifted, and is not written. Return the sources of
        these.
        """
