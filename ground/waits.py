"""How long to wait after a failure, and when a stored wait is over. Pure.

A wait that outlives the process is stored as the moment at which it ends. The clock may be set back afterwards, by
days. So a moment further ahead than the longest wait came from another setting of the clock, and the wait is over.
"""

from __future__ import annotations

from dataclasses import dataclass

DOUBLED_MOST = 32
"""Limits the power of two, however many failures there were."""


@dataclass(frozen=True, slots=True)
class Growing:
    """Waits that double with every failure in a row, from `first_s` to at most `longest_s`."""

    first_s: float
    longest_s: float

    def after(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row; the first is number 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, DOUBLED_MOST), self.longest_s)

    def on(self, now: float) -> tuple[float, float]:
        """Return the range, first excluded, in which a wait ends that is not over `now` (seconds since 1970)."""
        return now, now + self.longest_s

    def over(self, until: float, now: float) -> bool:
        """Return whether a wait that ends at the moment `until` is over `now`."""
        after, longest = self.on(now)
        return not after < until <= longest
