"""The stored bans of source addresses. Removing a ban lifts it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban. `source` is an IPv4 address or the /64 of an IPv6 one, `until` a moment in RFC 3339."""

    source: str
    until: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)


class BanStore(Protocol):
    """The bans of one server, by source."""

    async def list(self, *, now: str, latest: str) -> list[Ban]:
        """Return the bans that are not over at `now`, the longest first.

        An end after `latest` is returned as `latest`.
        """

    async def sources(self) -> set[str]:
        """Return the stored sources, also those whose ban is over."""

    async def remove(self, source: str) -> bool:
        """Remove a ban; return whether there was one."""

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        """Write these bans and remove those that are `over`: all or none.

        A ban of a source in `known` that is no longer stored was lifted, and is not written. Returns the sources of
        such bans.
        """
