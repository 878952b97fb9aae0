"""How long to wait after something failed. Pure."""

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
