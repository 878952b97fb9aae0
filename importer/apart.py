"""Work that runs apart: in a thread with an event loop of its own, where nothing it awaits waits for another thread.

An import is some hundred short statements and steps. Through a thread of the database and a pool of threads, each is
two changes of threads, and beside another thread that computes each change may last as long as Python lets one run.
Here the import is one: what it awaits has happened when it is awaited. The caller's loop stays as free as before.
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
"""Work that took so much processor time may have freed much memory, and does not notice what giving it back takes."""


async def apart(
    work: Callable[[], Coroutine[Any, Any, T]], name: str, afterwards: Callable[[], None] = lambda: None
) -> T:
    """What `work` returns or raises, run in a thread called `name`. It has ended when this returns or raises.

    A cancellation is passed on to it, and raised after its end, whatever that was. Then the thread does `afterwards`,
    which the caller does not wait for, but the end of the process does.
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
            running.exception()  # it has been told, if not to us
        raise


class _Apart:
    """One piece of work in the thread that `run` is called in, which may be cancelled from another."""

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
        with suppress(RuntimeError):  # it is over
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _InPlace(ThreadPoolExecutor):
    """Where `asyncio.to_thread` leads to in such a thread: nowhere else."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done
