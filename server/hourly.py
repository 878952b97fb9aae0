"""A limit on how often something is done for one key within an hour, however often it is asked for. Pure."""

from __future__ import annotations

HOUR_S = 3600.0
KEYS_MOST = 10_000
"""The most keys that are known at once. Above it, new keys are refused until others were not used for an hour."""


class Hourly:
    """Allows `most` times for each key within an hour. Times are monotonic seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done: dict[str, list[float]] = {}

    def allows(self, key: str, now: float) -> bool:
        """Count one time for `key` at `now`. Return whether it is allowed; one that is not counts for nothing."""
        if key not in self._done and len(self._done) >= KEYS_MOST:
            self._drop_old(now)
            if len(self._done) >= KEYS_MOST:
                return False
        recent = [at for at in self._done.get(key, ()) if at > now - HOUR_S]
        allowed = len(recent) < self._most
        self._done[key] = [*recent, now] if allowed else recent
        return allowed

    def _drop_old(self, now: float) -> None:
        self._done = {key: times for key, times in self._done.items() if times[-1] > now - HOUR_S}
