"""How long to wait after something failed, and when a wait that was written down is over. Pure.

A wait that outlives the process is written down as the moment at which it ends. The clock may step back after that,
by days; so a moment that lies further ahead than the longest wait there is was another clock's, and the wait is over.
"""

from __future__ import annotations

from dataclasses import dataclass

DOUBLED_MOST = 32
"""Keeps the power of two small, however many failures there were."""


@dataclass(frozen=True, slots=True)
class Growing:
    """Waits that double with every failure in a row, from `first_s` to at most `longest_s`."""

    first_s: float
    longest_s: float

    def after(self, failures: int) -> float:
        """Return the seconds to wait after this many failures in a row; the first is number 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, DOUBLED_MOST), self.longest_s)

    def on(self, now: float) -> tuple[float, float]:
        """Return after which moment, and up to which, a wait ends that is not over `now` (seconds since 1970)."""
        return now, now + self.longest_s

    def over(self, until: float, now: float) -> bool:
        """Return whether a wait that ends at the moment `until` is over `now`."""
        after, longest = self.on(now)
        return not after < until <= longest
