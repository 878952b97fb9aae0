"""The event loop of the server: while a client waits for its CLOSE, each step takes in little of the others.

A CLOSE at a hook's path is some ten steps of the loop, and each begins when the one before is over. A step takes in
what has come on every connection, so beside many uploads it is long. In a hurry the others are left alone for a
moment, and then each step takes in one of them. What a short step leaves is not put off for long: epoll gives out
what is ready in turns, and the next step goes on where this one ended. So nothing is ever put before all others: with
many uploads at once the others, signals among them, would wait for long.
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
    """An epoll that gives out at most `most` ready descriptors at once, where that is set, and in a pause only one:
    that by which threads and signals wake the loop.
    """

    def __init__(self, pause_s: float) -> None:
        self._all, self._waking = select.epoll(), select.epoll()
        self.register, self.unregister, self.modify = self._all.register, self._all.unregister, self._all.modify
        self.fileno = self._all.fileno
        self.most: int | None = None
        self.pause = Pause(pause_s)

    def woken_by(self, descriptor: int) -> None:
        self._waking.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        self._waking.close()
        self._all.close()

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        left_s = self.pause.left_s(monotonic())
        if left_s:
            return self._waking.poll(left_s if timeout < 0 else min(timeout, left_s), most)
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


@contextmanager
def hurry() -> Iterator[None]:
    """The same of the loop that runs; nothing where that is another one."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, ServerLoop):
        with loop.hurry():
            yield
    else:
        yield
