"""Decide which HTTP connection is closed when there are too many. Pure.

A connection is a stranger until it has carried a request with a valid token (or session). Strangers have at most half
of all places. A new stranger takes the place of the oldest stranger of the source with the most. So a new client is
always answered, and a source with few connections does not lose them to one with many. One source, and one token, has
at most a quarter of all places. A few spare places above the cap are kept for health checks and metrics.

A trusted proxy's connection has the source and token of the request that is being answered, and none in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from server.descriptors import kept

CONNECTIONS = 1000
"""Concurrent connections, if the limit of open descriptors allows it."""

LEAST = 8
"""The minimum of places: fewer could not be divided into shares."""

STREAMS = 50
"""Event streams of one token: enough for 10 people who share it, with 5 open pages each."""

SPARE = 32
"""Places above the cap, for health checks and metrics only."""


@dataclass(frozen=True, slots=True)
class Caps:
    """`connections` is the cap of all, `streams` that of the event streams of one token."""

    connections: int = CONNECTIONS
    streams: int = STREAMS

    @property
    def strangers(self) -> int:
        return self.connections // 2

    @property
    def share(self) -> int:
        """Return the places of one source, and of one token."""
        return self.connections // 4


def caps_for(connections: int | None, streams: int, descriptors: int) -> Caps:
    """Return the caps of a process that may have so many descriptors open.

    If `connections` is None, connections take at most an eighth of the descriptors. In every case, a quarter of the
    descriptors that SFTP leaves stays free for the databases, imports and the log.
    """
    most = max(LEAST, kept(descriptors) * 3 // 4 - SPARE)
    wanted = min(CONNECTIONS, max(LEAST, descriptors // 8)) if connections is None else connections
    return Caps(min(wanted, most), streams)


@dataclass(eq=False, slots=True)
class Guest:
    """One connection. `source` is None for a trusted proxy's own, `token` is None for a stranger."""

    proxied: bool
    source: str | None = None
    token: int | None = None
    answering: int = 0
    follows: bool = False


class Crowd:
    """The guests. A method that makes room returns the guests to disconnect, which are no longer counted."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        # Oldest first; a known guest moves to the end when its answer is complete.
        self._strangers: dict[Guest, None] = {}
        self._known: dict[Guest, None] = {}
        self._spare: dict[Guest, None] = {}
        self._by_source: Counter[str] = Counter()
        self._by_token: Counter[int] = Counter()
        self._streams: Counter[int] = Counter()

    def arrive(self, source: str | None) -> tuple[Guest, list[Guest]]:
        """Add a connection from `source` (None: a trusted proxy)."""
        guest = Guest(proxied=source is None)
        leaving = self._seat(guest, source)
        if leaving is None:
            leaving = []
            if len(self._spare) >= SPARE:
                leaving.append(self._dismiss(next(iter(self._spare))))
            guest.source = source
            self._spare[guest] = None
        return guest, leaving

    def ask(self, guest: Guest, source: str | None) -> list[Guest] | None:
        """Begin to answer a request from `source`; call `answered` once afterwards.

        Returns None without a place for it: then only health checks and metrics may be answered.
        """
        self._end_request(guest)
        guest.answering += 1
        if guest in self._spare:
            del self._spare[guest]
            leaving = self._seat(guest, source)
            if leaving is None:
                self._spare[guest] = None
            return leaving
        if not guest.proxied or source is None or guest not in self:
            return []
        leaving = self._room_of(source)
        if leaving is not None:
            self._count(guest, source)
        return leaving

    def recognize(self, guest: Guest, token: int) -> list[Guest] | None:
        """Count the guest as one of `token`, which is valid. Returns None if the token has its share already."""
        if guest.token == token or guest not in self:
            return []
        leaving: list[Guest] = []
        if self._by_token[token] >= self._caps.share:
            idle = self._idle(each for each in self._known if each.token == token)
            if idle is None:
                return None
            leaving.append(self._dismiss(idle))
        self._drop_token(guest)
        guest.token = token
        self._by_token[token] += 1
        if guest in self._strangers:
            del self._strangers[guest]
            self._known[guest] = None
        return leaving

    def follow(self, guest: Guest) -> bool:
        """Count an event stream until the answer is complete. Returns False if the token has as many as allowed."""
        if guest.token is None or guest.follows:
            return guest.follows
        if self._streams[guest.token] >= self._caps.streams:
            return False
        self._streams[guest.token] += 1
        guest.follows = True
        return True

    def answered(self, guest: Guest) -> None:
        """End the request that `ask` began."""
        guest.answering -= 1
        if not guest.answering:  # else the next request of a pipeline has begun already
            self._end_request(guest)

    def leave(self, guest: Guest) -> None:
        """Remove a closed connection; a second call does nothing."""
        self._drop_token(guest)
        if guest in self._spare:
            del self._spare[guest]
        elif guest in self:
            self._strangers.pop(guest, None)
            self._known.pop(guest, None)
            self._uncount(guest)

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._strangers or guest in self._known or guest in self._spare

    # Helpers

    def _seat(self, guest: Guest, source: str | None) -> list[Guest] | None:
        """Give a stranger a place. Returns None if known guests that are being answered have all places."""
        leaving = self._room_of(source)
        if leaving is None:
            return None
        while len(self._strangers) >= self._caps.strangers:
            leaving.append(self._dismiss(self._oldest_stranger()))
        if len(self._strangers) + len(self._known) >= self._caps.connections:
            first = self._oldest_stranger() if self._strangers else self._idle(self._known)
            if first is None:
                return None  # no guest was dismissed above: that would have made room
            leaving.append(self._dismiss(first))
        self._strangers[guest] = None
        self._count(guest, source)
        return leaving

    def _room_of(self, source: str | None) -> list[Guest] | None:
        """Make room in the share of a source: dismiss its oldest stranger, else a known guest without a request."""
        if source is None or self._by_source[source] < self._caps.share:
            return []
        first = next((each for each in self._strangers if each.source == source), None)
        first = first or self._idle(each for each in self._known if each.source == source)
        return None if first is None else [self._dismiss(first)]

    def _oldest_stranger(self) -> Guest:
        """Return the oldest stranger of the source with the most; of equal sources, the oldest of all."""
        counts = Counter(each.source for each in self._strangers)
        return max(self._strangers, key=lambda each: counts[each.source])  # max() returns the first

    @staticmethod
    def _idle(guests: Iterable[Guest]) -> Guest | None:
        return next((each for each in guests if not each.answering), None)

    def _dismiss(self, guest: Guest) -> Guest:
        self.leave(guest)
        return guest

    def _end_request(self, guest: Guest) -> None:
        self._unfollow(guest)
        if guest in self._known:
            del self._known[guest]
            (self._strangers if guest.proxied else self._known)[guest] = None
        if guest.proxied and guest not in self._spare:
            self._drop_token(guest)
            self._uncount(guest)

    def _unfollow(self, guest: Guest) -> None:
        if guest.follows and guest.token is not None:
            _one_less(self._streams, guest.token)
        guest.follows = False

    def _drop_token(self, guest: Guest) -> None:
        self._unfollow(guest)
        if guest.token is not None:
            _one_less(self._by_token, guest.token)
        guest.token = None

    def _count(self, guest: Guest, source: str | None) -> None:
        guest.source = source
        if source is not None:
            self._by_source[source] += 1

    def _uncount(self, guest: Guest) -> None:
        if guest.source is not None:
            _one_less(self._by_source, guest.source)
        guest.source = None


Counted = TypeVar("Counted", str, int)


def _one_less(counts: Counter[Counted], key: Counted) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
