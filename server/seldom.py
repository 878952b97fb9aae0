"""How often one thing is said in the log, however often it happens. Pure."""

from __future__ import annotations

EVERY_S = 1.0


class Seldom:
    """At most once in `every_s` seconds; what happened meanwhile is counted."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._said_at: float | None = None
        self._happened = 0

    def again(self, now: float) -> int:
        """It happened at `now`. Return how often since it was last said, if it is to be said now; else 0."""
        self._happened += 1
        if self._said_at is not None and now - self._said_at < self._every_s:
            return 0
        self._said_at, happened = now, self._happened
        self._happened = 0
        return happened
