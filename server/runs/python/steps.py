"""Watch an async function and its tasks: steps that hold the event loop, and exceptions of tasks left alone.

The event loop reports such an exception with its text, which may quote cells. Here its hook gets it instead.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Watch:
    """`held` gets the seconds of each step longer than `longest_s`, `failed` each exception of a task left alone."""

    longest_s: float
    held: Callable[[float], None]
    failed: Callable[[BaseException], None]


class Exited(Exception):  # noqa: N818 - what the task did
    """A task of a hook asked the whole process to exit."""


_watched: ContextVar[Watch | None] = ContextVar("watched", default=None)


async def watched(coroutine: Coroutine[Any, Any, T], watch: Watch) -> T:
    """Await a coroutine; report to `watch` about it, and about the tasks that it starts."""
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        loop.set_task_factory(_task)
        _report_faults(loop)
    _watched.set(watch)
    return await Steps(coroutine, watch)


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task as the event loop does; watch it if the task that makes it is watched."""
    context: Context | None = options.get("context")
    watch = _watched.get() if context is None else context.get(_watched)
    if watch is not None and asyncio.iscoroutine(coroutine):
        coroutine = _as_coroutine(Steps(coroutine, watch))
    return asyncio.Task(coroutine, loop=loop, **options)


async def _as_coroutine(steps: Steps[T]) -> T:
    try:
        return await steps
    except (SystemExit, KeyboardInterrupt) as error:  # it would end the event loop
        raise Exited(type(error).__name__).with_traceback(error.__traceback__) from None


def _report_faults(loop: asyncio.AbstractEventLoop) -> None:
    """Report the faults of the loop that are of hooks to their watches, and the others as before."""
    before = loop.get_exception_handler()

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        watch = _watch_of(context)
        if watch is not None and isinstance(error, BaseException):
            watch.failed(error)
        elif before is not None:
            before(loop, _without_text(context))
        else:
            loop.default_exception_handler(_without_text(context))

    loop.set_exception_handler(report)


def _watch_of(context: dict[str, Any]) -> Watch | None:
    """Return the watch of the hook that a fault is of: of the callback that failed, or of the steps on the way."""
    if isinstance(handle := context.get("handle"), asyncio.Handle):
        of_handle: Context = handle._context  # type: ignore[attr-defined]
        return of_handle.get(_watched)
    error = context.get("exception")
    for frame, _ in traceback.walk_tb(error.__traceback__ if isinstance(error, BaseException) else None):
        if frame.f_code is Steps.__await__.__code__ and isinstance(steps := frame.f_locals.get("self"), Steps):
            return steps.watch
    return None


def _without_text(context: dict[str, Any]) -> dict[str, Any]:
    """Return a fault without the text of an exception of a future: that may be a hook's, from a thread."""
    future, error = context.get("future"), context.get("exception")
    if not isinstance(error, Exception) or future is None or isinstance(future, asyncio.Task):
        return context
    return {**context, "exception": RuntimeError(type(error).__name__).with_traceback(error.__traceback__)}


class Steps(Generic[T]):
    """A coroutine that is awaited step by step."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], watch: Watch) -> None:
        self._coroutine = coroutine
        self.watch = watch

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._coroutine.send
        value: Any = None
        while True:
            began = time.monotonic()
            try:
                awaited = step(value)
            except StopIteration as end:
                found: T = end.value
                return found
            finally:
                if (took_s := time.monotonic() - began) > self.watch.longest_s:
                    self.watch.held(took_s)
            try:
                value, step = (yield awaited), self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
