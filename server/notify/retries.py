"""When a message that cannot be sent is tried again, and how often. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ground.waits import Growing


@dataclass(frozen=True, slots=True)
class Retries:
    """`tries` in all, with `waits` between them."""

    waits: Growing
    tries: int

    def wait_s(self, attempts: int) -> float:
        """Return the seconds from try number `attempts` to the next."""
        return self.waits.after(attempts)

    def waiting(self, now: float) -> tuple[float, float]:
        """Return after which moment, and up to which, waits end that are not over `now` (seconds since 1970)."""
        return self.waits.on(now)

    def end(self, attempts: int) -> bool:
        """Return whether try number `attempts` was the last."""
        return attempts >= self.tries


THREE_DAYS = Retries(Growing(60.0, 4 * 3600.0), tries=25)
"""25 tries in a little under three days: after 1, 2, 4, ... 128 minutes, then every four hours."""
