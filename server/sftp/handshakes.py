"""Limit the connections that have not logged in: per source, and in all. An IPv6 source is a /64 network."""

from __future__ import annotations

from collections import Counter

from ground.addresses import Address, source_of


class Handshakes:
    """The connections that have not logged in yet, by source.

    If all places are taken, a source with few connections gets a place of the source with the most. So a source with
    many connections locks out only itself.
    """

    def __init__(self, most_of_source: int, most: int) -> None:
        self._most_of_source = most_of_source
        self._most = most
        self._open: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Return whether all places are taken."""
        return self._open.total() >= self._most

    def full_of(self, address: Address) -> bool:
        """Return whether the source of `address` has the most connections that one source may have."""
        return self._open[source_of(address)] >= self._most_of_source

    def gives_way(self, address: Address) -> str | None:
        """Return the source that loses a place to `address` if none is free; None unless one has at least 2 more."""
        source, count = next(iter(self._open.most_common(1)), ("", 0))
        return source if count > self._open[source_of(address)] + 1 else None

    def enter(self, address: Address) -> bool:
        """Count one more connection from `address`; return False, with nothing counted, if no place is free."""
        source = source_of(address)
        if self._open[source] >= self._most_of_source or self.full:
            return False
        self._open[source] += 1
        return True

    def leave(self, address: Address) -> None:
        """Free the place of a connection that has logged in or ended."""
        source = source_of(address)
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]
