"""A limit on how often something is done for one key within an hour, however often it is asked for. Pure."""

from __future__ import annotations

HOUR_S = 3600.0
KEYS_MOST = 10_000
"""The most keys that are known at once. Above it, the key that was counted longest ago is dropped."""


class Hourly:
    """Allows `most` times for each key within an hour. Times are monotonic seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done: dict[str, list[float]] = {}

    def allows(self, key: str, now: float) -> bool:
        """Count one time for `key` at `now`. Return whether it is allowed; one that is not counts for nothing."""
        allowed = self.has_room(key, now)
        if allowed:
            self.count(key, now)
        return allowed

    def has_room(self, key: str, now: float) -> bool:
        """Return whether one more time is allowed for `key` at `now`."""
        return len(self._recent(key, now)) < self._most

    def count(self, key: str, now: float) -> None:
        """Count one time for `key` at `now`."""
        recent = self._recent(key, now)
        self._done.pop(key, None)  # to the end: the dictionary is in the order of the last counts
        self._done[key] = [*recent, now]
        if len(self._done) > KEYS_MOST:
            del self._done[next(iter(self._done))]

    def _recent(self, key: str, now: float) -> list[float]:
        return [at for at in self._done.get(key, ()) if at > now - HOUR_S]
