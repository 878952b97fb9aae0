"""How a coroutine waits for a thread: it goes on in the very step of the event loop in which the thread's word comes.

asyncio's own ways (`run_in_executor`, a future set by another thread, `shield` around them) take two to five steps
more, and where many clients keep the loop busy each step is long. And none of them is what is needed of a thread
that works on open files or in a transaction: that a cancellation waits for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class Coming(Generic[T]):
    """What `work` will return, or raise, in the thread that calls `do`; to be awaited once, by a task.

    A task that is cancelled while it waits is so when the thread is done: until then it waits on.
    """

    _asyncio_future_blocking = (
        False  # makes it one that tasks can wait for, as the documented `asyncio.isfuture` has it
    )

    def __init__(self, work: Callable[[], T]) -> None:
        """In a coroutine, before the thread has it."""
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._done = False
        self._failed: BaseException | None = None
        self._result: T
        self._go_on: tuple[Callable[[Any], object], Context | None] | None = None

    def do(self) -> None:
        """In the thread: work, and tell. Raises nothing."""
        failed = None
        try:
            result = self._work()
        except BaseException as error:
            failed = error
        else:
            self._result = result
        self._failed = failed
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._done = True
        if self._go_on is not None:
            go_on, context = self._go_on
            if context is None:
                go_on(self)
            else:
                context.run(go_on, self)

    def __await__(self) -> Generator[Coming[T], None, T]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    # What a task asks of a future.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, go_on: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._go_on = go_on, context

    def result(self) -> T:
        """What `work` returned. Raises what it raised."""
        if self._failed is not None:
            raise self._failed
        return self._result

    def cancel(self, msg: object = None) -> Literal[False]:
        """It cannot be: the task that waits is cancelled when it goes on."""
        return False


async def finish(work: Awaitable[T]) -> T:
    """Await `work` to its end even if we are cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
