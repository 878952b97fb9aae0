"""Which identifiers may have come earlier in a first file: the others need no look-up.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

SLOTS = 1 << 24
"""With a million identifiers, one in thirty shares its slot with another and is looked up needlessly."""


def slots_for(size: int) -> int:
    """Return the number of slots for a file of `size` bytes: one for each byte, since memory takes time to get."""
    return min(SLOTS, size + 1)


class Seen:
    """The identifiers so far, each marked in one slot: may contain others, but never misses one."""

    def __init__(self, slots: int) -> None:
        self._taken = bytearray(slots)

    def among(self, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` that may have come before."""
        return list(compress(keys, map(self._taken.__getitem__, self._slots_of(keys))))

    def meet(self, keys: Sequence[str]) -> list[str]:
        """Return those of `keys` that may have come before, and mark all of them."""
        taken, slots = self._taken, self._slots_of(keys)
        found = list(compress(keys, map(taken.__getitem__, slots)))
        for slot in slots:
            taken[slot] = 1
        return found

    def _slots_of(self, keys: Sequence[str]) -> list[int]:
        slots = len(self._taken)
        return [number % slots for number in map(hash, keys)]
