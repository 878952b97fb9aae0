"""How many connections may be open without having logged in: per source, and in all. IPv6 counts by /64."""

from __future__ import annotations

from collections import Counter

from ground.addresses import Address, source_of


class Handshakes:
    """The connections that have not logged in yet, by source.

    Where all places are taken, a source with few gets one of a source with many: a crowd locks out only itself.
    """

    def __init__(self, most_of_source: int, most: int) -> None:
        self._most_of_source = most_of_source
        self._most = most
        self._open: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether all places are taken."""
        return self._open.total() >= self._most

    def full_of(self, address: Address) -> bool:
        """Whether the source of `address` has as many as one may have."""
        return self._open[source_of(address)] >= self._most_of_source

    def gives_way(self, address: Address) -> str | None:
        """Return the source that has to give up a place where none is free for `address`; None if none has more."""
        source, count = next(iter(self._open.most_common(1)), ("", 0))
        return source if count > self._open[source_of(address)] + 1 else None

    def enter(self, address: Address) -> bool:
        """Count one more from `address`; False, with nothing counted, if there are as many as there may be."""
        source = source_of(address)
        if self._open[source] >= self._most_of_source or self.full:
            return False
        self._open[source] += 1
        return True

    def leave(self, address: Address) -> None:
        """One that had entered has logged in, or is gone."""
        source = source_of(address)
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]
