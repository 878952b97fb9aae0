"""Measure how long each step of an async function, and of the tasks that it starts, holds the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Held = Callable[[float], None]
"""Gets the seconds that a step took."""

_watched: ContextVar[tuple[float, Held] | None] = ContextVar("watched", default=None)


async def watched(coroutine: Coroutine[Any, Any, T], longest_s: float, held: Held) -> T:
    """Await a coroutine; report each step that took longer than `longest_s`, of it and of tasks that it starts."""
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        loop.set_task_factory(_task)
    _watched.set((longest_s, held))
    return await Steps(coroutine, longest_s, held)


def _task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task as the event loop does; watch it if the task that makes it is watched."""
    context: Context | None = options.get("context")
    watch = _watched.get() if context is None else context.get(_watched)
    if watch is not None and asyncio.iscoroutine(coroutine):
        coroutine = _as_coroutine(Steps(coroutine, *watch))
    return asyncio.Task(coroutine, loop=loop, **options)


async def _as_coroutine(steps: Steps[T]) -> T:
    return await steps


class Steps(Generic[T]):
    """A coroutine that is awaited step by step."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], longest_s: float, held: Held) -> None:
        self._coroutine = coroutine
        self._longest_s = longest_s
        self._held = held

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
                if (took_s := time.monotonic() - began) > self._longest_s:
                    self._held(took_s)
            try:
                value, step = (yield awaited), self._coroutine.send
            except BaseException as error:
                value, step = error, self._coroutine.throw
