"""Which identifiers may have come before, while no user is there yet: most need not be looked up then.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

SLOTS = 1 << 24
"""Of a million identifiers one in thirty shares its slot with another, and is looked up for nothing."""


def slots_for(size: int) -> int:
    """How many slots the identifiers of a file of `size` bytes get: one a byte, as taking memory takes time too."""
    return min(SLOTS, size + 1)


class Seen:
    """The identifiers that came so far, each known by one slot: never one too few, at times one too many."""

    def __init__(self, slots: int) -> None:
        self._taken = bytearray(slots)

    def among(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that may have come before."""
        return list(compress(keys, map(self._taken.__getitem__, self._slots_of(keys))))

    def meet(self, keys: Sequence[str]) -> list[str]:
        """The same; and all of `keys` have come now."""
        taken, slots = self._taken, self._slots_of(keys)
        found = list(compress(keys, map(taken.__getitem__, slots)))
        for slot in slots:
            taken[slot] = 1
        return found

    def _slots_of(self, keys: Sequence[str]) -> list[int]:
        slots = len(self._taken)
        return [number % slots for number in map(hash, keys)]
