"""How long something that can't be sent is tried again, and when that ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """`first_s` after the first try, twice as long each time, at most `longest_s`; after `tries` it ends."""

    first_s: float = 60.0
    longest_s: float = 4 * 3600.0
    tries: int = 25

    def wait_s(self, attempts: int) -> float:
        """Seconds from the try number `attempts` to the next."""
        return min(self.first_s * 2.0 ** min(attempts - 1, 32), self.longest_s)

    def ends(self, attempts: int) -> bool:
        return attempts >= self.tries


THREE_DAYS = Patience()
"""25 tries in a little under three days: after 1, 2, 4, ... 128 minutes, then every four hours."""
