"""How long somebody who showed a wrong token has to wait for the answer: longer each time, forgotten in time. Pure.

Tokens are too random to be guessed; this keeps whoever tries it all the same from costing others anything. Right
tokens never wait, or one wrong script could lock out everybody behind the same address.
"""

from __future__ import annotations

from dataclasses import dataclass

from ground.addresses import Address, source_of
from ground.waits import Growing

WAITS = Growing(0.25, 5.0)
FORGIVEN_AFTER_S = 60.0
"""So long after the last failure the next one counts as the first."""
WAITING_MOST = 10
"""Answers of one source that may wait at once; more are refused at once."""
SOURCES_MOST = 10_000


@dataclass(slots=True)
class _Source:
    failures: int = 0
    last: float = 0.0
    waiting: int = 0


class Slowing:
    """The failures of late, by source: an IPv4 address, or the /64 of an IPv6 one."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def failed(self, address: Address, now: float) -> float | None:
        """Count a failure at `now` (seconds of any clock): how many seconds it has to wait, None if too many do.

        Whoever waits calls `waited()` when it is over.
        """
        source = self._sources.setdefault(source_of(address), _Source())
        if now - source.last > FORGIVEN_AFTER_S:
            source.failures = 0
        source.last = now
        self._forget_old(now)
        if source.waiting >= WAITING_MOST:
            return None
        source.waiting += 1
        source.failures += 1
        return WAITS.after(source.failures)

    def waited(self, address: Address) -> None:
        """One wait is over."""
        self._sources[source_of(address)].waiting -= 1

    def _forget_old(self, now: float) -> None:
        if len(self._sources) > SOURCES_MOST:
            recent = now - FORGIVEN_AFTER_S
            self._sources = {
                name: source for name, source in self._sources.items() if source.waiting or source.last > recent
            }
