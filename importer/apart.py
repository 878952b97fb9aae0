"""Run work in a thread with its own event loop, where nothing it awaits waits for another thread.

An import consists of some hundred short statements and steps. With a thread for the database and a pool of threads,
each of them would switch threads twice. Each switch can take as long as Python lets another busy thread run. Here the
import is one piece: what it awaits is done when it is awaited. The caller's event loop stays as free as before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from ground.memory import give_back

T = TypeVar("T")

LONG_S = 0.2
"""Work that took this much processor time may have freed much memory.

The time that returning the memory takes is small in comparison.
"""


async def apart(
    work: Callable[[], Coroutine[Any, Any, T]], name: str, afterwards: Callable[[], None] = lambda: None
) -> T:
    """Return or raise what `work` does, run in a thread called `name`; the thread's work has ended then.

    A cancellation is passed on to the work, and raised after its end, whatever that was. Then the thread runs
    `afterwards`: the caller does not wait for it, but the end of the process does.
    """
    thread = _Apart(work)
    pool = ThreadPoolExecutor(1, name)
    running = asyncio.get_running_loop().run_in_executor(pool, thread.run)
    pool.submit(afterwards)
    pool.shutdown(wait=False)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            thread.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # marks it as retrieved
        raise


class _Apart:
    """One piece of work in the thread that calls `run`; another thread may cancel it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_InPlace(1))
        self._task: asyncio.Task[Any] | None = None

    def run(self) -> Any:
        try:
            self._task = self._loop.create_task(self._work())
            return self._loop.run_until_complete(self._task)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            if time.thread_time() >= LONG_S:
                give_back()

    def cancel(self) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _InPlace(ThreadPoolExecutor):
    """The executor of `asyncio.to_thread` in such a thread: it runs the call in the same thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done
