"""When and how often a message that could not be sent is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ground.waits import Growing


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `tries` attempts, with `waits` between them."""

    waits: Growing
    tries: int

    def wait_s(self, attempts: int) -> float:
        """Return the seconds from attempt number `attempts` to the next."""
        return self.waits.after(attempts)

    def waiting(self, now: float) -> tuple[float, float]:
        """Return the range of ends of waits that are not over `now` (seconds since 1970), without its first value."""
        return self.waits.on(now)

    def end(self, attempts: int) -> bool:
        """Return whether attempt number `attempts` was the last."""
        return attempts >= self.tries


THREE_DAYS = Retries(Growing(60.0, 4 * 3600.0), tries=25)
"""25 attempts in a little under three days: after 1, 2, 4, ... 128 minutes, then every four hours."""
