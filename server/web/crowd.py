"""Which HTTP connections are open, and which one is closed when there are too many. Pure.

A connection is a stranger until a request with a good token (or session) has come over it. Strangers have half of all
places. A new stranger takes the place of the oldest one of the largest source, so a new client is always heard, and a
source with few connections does not lose them to one with many. One source and one token have a quarter of all places
each. Above the cap a few spare places are kept for health checks and metrics.

A trusted proxy's connections have the source and token of the request that is being answered, and none in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from server.descriptors import kept

CONNECTIONS = 1000
"""Connections at once, if the descriptors allow it."""

LEAST = 8
"""Fewer places could not be divided."""

STREAMS = 50
"""Event streams of one token: ten people who share one, each with five pages in view."""

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
        """The places of one source, and of one token."""
        return self.connections // 4


def caps_for(connections: int | None, streams: int, descriptors: int) -> Caps:
    """Return the caps of a process that may have so many descriptors open.

    Without a chosen number of connections they take at most an eighth of them. Whatever is chosen, a quarter of what
    SFTP leaves to everything else stays free for the databases, imports and the log.
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
    """The guests. Methods that make room return the guests to disconnect; those are not counted any more."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        # The oldest first; a known guest moves to the end when its answer is complete.
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

        None: there is no place for it, and only health checks and metrics may be answered.
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
        """Count the guest as one of `token`, which was found to be good. None: that token has its share already."""
        if guest.token == token or guest not in self:
            return []
        leaving: list[Guest] = []
        if self._by_token[token] >= self._caps.share:
            idle = self._idle(each for each in self._known if each.token == token)
            if idle is None:
                return None
            leaving.append(self._dismiss(idle))
        self._forget_token(guest)
        guest.token = token
        self._by_token[token] += 1
        if guest in self._strangers:
            del self._strangers[guest]
            self._known[guest] = None
        return leaving

    def follow(self, guest: Guest) -> bool:
        """Count an event stream until the answer is complete. False: the token has as many as it may."""
        if guest.token is None or guest.follows:
            return guest.follows
        if self._streams[guest.token] >= self._caps.streams:
            return False
        self._streams[guest.token] += 1
        guest.follows = True
        return True

    def answered(self, guest: Guest) -> None:
        """End what `ask` has begun."""
        guest.answering -= 1
        if not guest.answering:  # else the next request of a pipeline is under way already
            self._end_request(guest)

    def leave(self, guest: Guest) -> None:
        """Forget a connection that is closed; once more does nothing."""
        self._forget_token(guest)
        if guest in self._spare:
            del self._spare[guest]
        elif guest in self:
            self._strangers.pop(guest, None)
            self._known.pop(guest, None)
            self._uncount(guest)

    def __contains__(self, guest: Guest) -> bool:
        return guest in self._strangers or guest in self._known or guest in self._spare

    # Below

    def _seat(self, guest: Guest, source: str | None) -> list[Guest] | None:
        """Give a stranger a place. None: all of the source's, or of all, are taken by known guests being answered."""
        leaving = self._room_of(source)
        if leaving is None:
            return None
        while len(self._strangers) >= self._caps.strangers:
            leaving.append(self._dismiss(self._oldest_stranger()))
        if len(self._strangers) + len(self._known) >= self._caps.connections:
            first = self._oldest_stranger() if self._strangers else self._idle(self._known)
            if first is None:
                return None  # then no guest was dismissed above either: that would have made room
            leaving.append(self._dismiss(first))
        self._strangers[guest] = None
        self._count(guest, source)
        return leaving

    def _room_of(self, source: str | None) -> list[Guest] | None:
        """Make room in the share of a source: by its oldest stranger, else by one that waits for a request."""
        if source is None or self._by_source[source] < self._caps.share:
            return []
        first = next((each for each in self._strangers if each.source == source), None)
        first = first or self._idle(each for each in self._known if each.source == source)
        return None if first is None else [self._dismiss(first)]

    def _oldest_stranger(self) -> Guest:
        """Return the oldest stranger of the source with the most; of sources with as many, the oldest of all."""
        counts = Counter(each.source for each in self._strangers)
        return max(self._strangers, key=lambda each: counts[each.source])  # the first of the largest

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
            self._forget_token(guest)
            self._uncount(guest)

    def _unfollow(self, guest: Guest) -> None:
        if guest.follows and guest.token is not None:
            _one_less(self._streams, guest.token)
        guest.follows = False

    def _forget_token(self, guest: Guest) -> None:
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
