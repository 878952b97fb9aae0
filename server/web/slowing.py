"""The delay of the answer to a wrong token: longer after each failure, reset after a while. Pure.

Tokens are too random to be guessed; the delay keeps attempts from slowing other clients. A valid token is never
delayed: otherwise one wrong script could lock out all clients behind the same address.
"""

from __future__ import annotations

from dataclasses import dataclass

from ground.addresses import Address, source_of
from ground.waits import Growing

WAITS = Growing(0.25, 5.0)
FORGIVEN_AFTER_S = 60.0
"""The time without a failure after which the next failure counts as the first."""
WAITING_MOST = 10
"""The delayed answers of one source; above it, requests are refused without delay."""
SOURCES_MOST = 10_000


@dataclass(slots=True)
class _Source:
    failures: int = 0
    last: float = 0.0
    waiting: int = 0


class Slowing:
    """The recent failures by source: an IPv4 address, or the /64 of an IPv6 address."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def failed(self, address: Address, now: float) -> float | None:
        """Count a failure at `now` (seconds of any clock). Return its delay in seconds; None if too many wait.

        The caller calls `waited()` after the delay.
        """
        source = self._sources.setdefault(source_of(address), _Source())
        if now - source.last > FORGIVEN_AFTER_S:
            source.failures = 0
        source.last = now
        self._drop_old(now)
        if source.waiting >= WAITING_MOST:
            return None
        source.waiting += 1
        source.failures += 1
        return WAITS.after(source.failures)

    def waited(self, address: Address) -> None:
        """End one delay."""
        self._sources[source_of(address)].waiting -= 1

    def _drop_old(self, now: float) -> None:
        if len(self._sources) > SOURCES_MOST:
            recent = now - FORGIVEN_AFTER_S
            self._sources = {
                name: source for name, source in self._sources.items() if source.waiting or source.last > recent
            }
