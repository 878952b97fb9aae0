"""Wait in a test for a condition, with a deadline. A test never sleeps for a fixed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0
"""Long on purpose: only a failing test waits so long, and a busy machine is slow."""

_INTERVAL_S = 0.01


async def eventually(condition: Callable[[], Awaitable[T] | T], timeout: float = DEADLINE_S, what: str = "") -> T:
    """Call `condition` (a function or a coroutine function) until its result is true, and return that.

    Raises AssertionError after `timeout` seconds, with `what` and the last result.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        found = await answer if inspect.isawaitable(answer) else answer
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_too_late(condition, timeout, what, found))
        await asyncio.sleep(_INTERVAL_S)


def wait_until(condition: Callable[[], T], timeout: float = DEADLINE_S, what: str = "") -> T:
    """Do as `eventually`, for tests without an event loop."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(_too_late(condition, timeout, what, found))
        time.sleep(_INTERVAL_S)


def wait_for_none(count: Callable[[], int], what: str = "") -> None:
    """Wait until `count` is 0. Raises AssertionError once it has not fallen for `DEADLINE_S`."""
    while left := count():
        wait_until(_below(left, count), what=f"{what}, of which {left} are left")


def _below(before: int, count: Callable[[], int]) -> Callable[[], bool]:
    return lambda: count() < before


def _too_late(condition: Callable[[], object], timeout: float, what: str, last: object) -> str:
    name = what or getattr(condition, "__qualname__", repr(condition))
    return f"still waiting for {name} after {timeout:g} s; the last answer was {last!r}"
