"""A limit on how often one event is logged, however often it occurs. Pure."""

from __future__ import annotations

EVERY_S = 1.0


class Seldom:
    """Allows one line in `every_s` seconds, and counts the occurrences meanwhile."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._said_at: float | None = None
        self._happened = 0

    def again(self, now: float) -> int:
        """Count one occurrence at `now` (monotonic seconds).

        Returns the number of occurrences since the previous line if a line is due, else 0.
        """
        self._happened += 1
        if self._said_at is not None and now - self._said_at < self._every_s:
            return 0
        self._said_at, happened = now, self._happened
        self._happened = 0
        return happened
