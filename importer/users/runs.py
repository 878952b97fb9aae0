"""Runs of consecutive user ids: one record of the history covers a whole run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST = 1000
"""The most users of one record. So the records of a user are found within this many ids from the user's own."""


def runs_of(ids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the runs in `ids` (from 1 on), in their order: the last id of each, and how many come directly before it.

    A run ends where the next id is not one higher, and after LONGEST ids.
    """
    first, last = 0, -1
    for user_id in ids:
        if user_id != last + 1 or user_id - first >= LONGEST:
            if first:
                yield last, last - first
            first = user_id
        last = user_id
    if first:
        yield last, last - first
