"""The event loop of the server: while a client waits for its CLOSE, each step takes in little of the others.

A CLOSE at a hook's path is some ten steps of the loop, and each begins when the one before is over. A step takes in
what has come on every connection, so beside many uploads it is long. In a hurry the others are left alone for a
moment, and then each step takes in one of them. What a short step leaves is not put off for long: epoll gives out
what is ready in turns, and the next step goes on where this one ended.

A hurry begins when the CLOSE has been read. Until then it would wait behind all others, so a connection on which a
CLOSE is to come is put first.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

AT_ONCE = 1
"""Of so many connections a step takes in what has come, in a hurry."""

PAUSE_S = 0.02
"""So long the others are left alone at most, when a hurry begins."""

STEPS = 4
"""From what comes on a connection to what it asks for: so many steps."""


class Pause:
    """When the others are left alone: `most_s` at a time, and never more than half of the time."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._began = self._until = self._next = 0.0

    def begin(self, now: float) -> None:
        """From `now`, unless the one before was too short a time ago."""
        if now >= self._next:
            self._began, self._until = now, now + self._most_s

    def left_s(self, now: float) -> float:
        """For how long it still lasts; 0 if there is none."""
        return max(0.0, self._until - now)

    def end(self, now: float) -> None:
        """It is not needed any more."""
        if self._until:
            ended = min(now, self._until)
            self._next = ended + (ended - self._began)
            self._until = 0.0


class _Epoll:
    """An epoll that gives out at most `most` ready descriptors at once, where that is set, and some of them first."""

    def __init__(self, pause_s: float) -> None:
        self._all, self._few = select.epoll(), select.epoll()
        self._asked: dict[int, int] = {}
        self.first: set[int] = set()
        self._own: int | None = None
        self._short_steps = 0
        self.most: int | None = None
        self.pause = Pause(pause_s)
        self.fileno = self._all.fileno

    def register(self, descriptor: int, events: int) -> None:
        self._all.register(descriptor, events)
        self._asked[descriptor] = events
        if descriptor in self.first:
            self._few.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        self._all.modify(descriptor, events)
        self._asked[descriptor] = events
        if descriptor in self.first:
            self._few.modify(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        if self._asked.pop(descriptor, None) is not None and descriptor in self.first:
            self._few.unregister(descriptor)
        self._all.unregister(descriptor)

    def close(self) -> None:
        self._few.close()
        self._all.close()

    def woken_by(self, descriptor: int) -> None:
        """Threads wake the loop by it: also while the others are left alone."""
        self._own = descriptor
        self._few.register(descriptor, self._asked[descriptor])

    def put_first(self, descriptor: int, *, whether: bool) -> None:
        if whether == (descriptor in self.first):
            return
        if whether:
            self.first.add(descriptor)
            if descriptor in self._asked:
                self._few.register(descriptor, self._asked[descriptor])
        else:
            self.first.remove(descriptor)
            if descriptor in self._asked:
                self._few.unregister(descriptor)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        left_s = self.pause.left_s(monotonic())
        if left_s:
            return self._few.poll(left_s if timeout < 0 else min(timeout, left_s), most)
        if self.first and self._short_steps < STEPS:  # else the step before was theirs
            came = [each for each in self._few.poll(0, most) if each[0] != self._own]
            if came:
                self._short_steps = STEPS
                return came
        if self._short_steps:
            self._short_steps -= 1
            return self._all.poll(timeout, min(most, AT_ONCE))
        return self._all.poll(timeout, most if self.most is None else min(most, self.most))


class _Selector(selectors.EpollSelector):
    """Leans on the inside of its base: the epoll that it keeps."""

    _selector: _Epoll

    def __init__(self, pause_s: float) -> None:
        self._selector_cls = lambda: _Epoll(pause_s)
        super().__init__()
        self.epoll = self._selector


class ServerLoop(asyncio.SelectorEventLoop):
    """An event loop that can be in a hurry."""

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        selector = _Selector(pause_s)
        self._epoll = selector.epoll
        self._hurried = 0
        super().__init__(selector)
        (own,) = (key.fd for key in selector.get_map().values())  # nothing else is waited for yet
        self._epoll.woken_by(own)

    @property
    def hurried(self) -> bool:
        """Whether it is in a hurry now."""
        return self._hurried > 0

    @property
    def first(self) -> frozenset[int]:
        """The descriptors that are put first."""
        return frozenset(self._epoll.first)

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Around what is many steps one after the other, and is waited for."""
        self._hurried += 1
        if self._hurried == 1:
            self._epoll.most = AT_ONCE
            self._epoll.pause.begin(monotonic())
        try:
            yield
        finally:
            self._hurried -= 1
            if not self._hurried:
                self._epoll.most = None
                self._epoll.pause.end(monotonic())

    def put_first(self, descriptor: int, *, whether: bool) -> None:
        """Take in what comes on `descriptor` before all else, in every second step at most; or no longer.

        It may be closed meanwhile.
        """
        self._epoll.put_first(descriptor, whether=whether)


@contextmanager
def hurry() -> Iterator[None]:
    """The same of the loop that runs; nothing where that is another one."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, ServerLoop):
        with loop.hurry():
            yield
    else:
        yield


def put_first(descriptor: int, *, whether: bool) -> None:
    """The same of the loop that runs; nothing where that is another one."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, ServerLoop):
        loop.put_first(descriptor, whether=whether)
