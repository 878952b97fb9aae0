"""The event loop of the server. While a client waits for its CLOSE, it reads little from other connections.

A CLOSE at a hook's path takes about ten steps of the loop, one after the other. A step reads from every connection
that has data, so beside many uploads it is long. In a hurry the loop first reads from no other connection for
PAUSE_S, then from one a step. No connection waits long: epoll returns ready descriptors in turn, and the next step
continues where this one ended. No descriptor gets priority: with many uploads at once all others would wait long,
signals among them.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

AT_ONCE = 1
"""The number of connections that a step reads from, in a hurry."""

PAUSE_S = 0.02
"""The longest pause in seconds at the start of a hurry. No other connection is read during it."""


class Pause:
    """The time during which other connections are not read: at most `most_s`, and at most half of all time."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._began = self._until = self._next = 0.0

    def begin(self, now: float) -> None:
        """Begin a pause at `now`, unless the previous pause ended too recently."""
        if now >= self._next:
            self._began, self._until = now, now + self._most_s

    def left_s(self, now: float) -> float:
        """Return how many seconds the pause still lasts; 0 without a pause."""
        return max(0.0, self._until - now)

    def end(self, now: float) -> None:
        """End the pause. The next may begin after a time as long as this one took."""
        if self._until:
            ended = min(now, self._until)
            self._next = ended + (ended - self._began)
            self._until = 0.0


class _Epoll:
    """An epoll that returns at most `most` ready descriptors at once, if `most` is set.

    In a pause it returns only the descriptor by which threads and signals wake the loop.
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
    """A selector on `_Epoll`. It relies on a private attribute of its base class."""

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
        (own,) = (key.fd for key in selector.get_map().values())  # the only one so far: it wakes the loop
        self._epoll.woken_by(own)

    @property
    def hurried(self) -> bool:
        """Whether a hurry is on."""
        return self._hurried > 0

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Shorten the steps of the loop inside this block: for work of many steps that a client waits for."""
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
    """Shorten the steps of the running loop inside this block; do nothing if it is not a ServerLoop."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, ServerLoop):
        with loop.hurry():
            yield
    else:
        yield
