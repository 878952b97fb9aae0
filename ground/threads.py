"""How a coroutine waits for a thread: it continues in the same step of the event loop in which the thread reports.

The ways of asyncio (`run_in_executor`, a future set by another thread, `shield` around them) take two to five steps
more. Each step is long when many clients keep the loop busy. And none of them makes a cancellation wait for the end
of a thread that works on open files or in a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class Coming(Generic[T]):
    """The result of `work`, which runs in the thread that calls `do`; a task awaits it once.

    A task that is canceled while it waits keeps waiting until the thread is done, and is canceled then.
    """

    _asyncio_future_blocking = False  # makes it awaitable for tasks, as documented for `asyncio.isfuture`

    def __init__(self, work: Callable[[], T]) -> None:
        """Call it in a coroutine, before the thread gets the object."""
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._done = False
        self._failed: BaseException | None = None
        self._result: T
        self._go_on: tuple[Callable[[Any], object], Context | None] | None = None

    def do(self) -> None:
        """Run the work and report its result. Call it in the thread. Raises nothing."""
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

    # The methods of a future that a task calls.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(self, go_on: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._go_on = go_on, context

    def result(self) -> T:
        """Return what `work` returned, or raise what it raised."""
        if self._failed is not None:
            raise self._failed
        return self._result

    def cancel(self, msg: object = None) -> Literal[False]:
        """Refuse the cancellation: the waiting task is canceled when it continues."""
        return False


async def finish(work: Awaitable[T]) -> T:
    """Await `work` to its end even if the caller is canceled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise
