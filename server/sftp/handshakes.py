"""How many connections of one source may be open without having logged in. IPv6 counts by /64."""

from __future__ import annotations

from collections import Counter

from ground.addresses import Address, source_of


class Handshakes:
    """The connections that have not logged in yet, by source."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def enter(self, address: Address) -> bool:
        """Count one more from `address`; False, with nothing counted, if there are as many as there may be."""
        source = source_of(address)
        if self._open[source] >= self._most:
            return False
        self._open[source] += 1
        return True

    def leave(self, address: Address) -> None:
        """One that had entered has logged in, or is gone."""
        source = source_of(address)
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]
