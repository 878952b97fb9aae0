"""The event loop of the server: while a client waits for its CLOSE, each step takes in little of the others.

A CLOSE at a hook's path is some ten steps of the loop, and each begins when the one before is over. A step takes in
what has come on every connection, so beside many uploads it is long. What a short step leaves is not put off for
long: epoll gives out what is ready in turns, and the next step goes on where this one ended.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 1
"""Of so many connections a step takes in what has come, in a hurry."""


class _Epoll:
    """An epoll that gives out at most `most` ready descriptors at once, where that is set."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.most: int | None = None
        self.register, self.unregister, self.modify = self._epoll.register, self._epoll.unregister, self._epoll.modify
        self.fileno, self.close = self._epoll.fileno, self._epoll.close

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout, most if self.most is None else min(most, self.most))


class _Selector(selectors.EpollSelector):
    """Leans on the inside of its base: which epoll that makes."""

    _selector_cls = _Epoll
    _selector: _Epoll

    def at_once(self, most: int | None) -> None:
        self._selector.most = most


class ServerLoop(asyncio.SelectorEventLoop):
    """An event loop that can be in a hurry."""

    def __init__(self) -> None:
        self._ready_in_turns = _Selector()
        self._hurried = 0
        super().__init__(self._ready_in_turns)

    @property
    def hurried(self) -> bool:
        """Whether it is in a hurry now."""
        return self._hurried > 0

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Around what is many steps one after the other, and is waited for."""
        self._hurried += 1
        self._ready_in_turns.at_once(AT_ONCE)
        try:
            yield
        finally:
            self._hurried -= 1
            if not self._hurried:
                self._ready_in_turns.at_once(None)


@contextmanager
def hurry() -> Iterator[None]:
    """The same of the loop that runs; nothing where that is another one."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, ServerLoop):
        with loop.hurry():
            yield
    else:
        yield
