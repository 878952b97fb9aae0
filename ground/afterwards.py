"""Put off what follows a change until it is on disk: until the end of a transaction that the calling task has open.

An engine opens such a transaction with `putting_off`. In one that is rolled back, nothing of it happens. With an
engine that has none, everything happens at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Act = Callable[[], Awaitable[object] | None]

_PUT_OFF: ContextVar[tuple[asyncio.Task[object] | None, list[Act]] | None] = ContextVar("put_off", default=None)


async def once_stored(act: Act) -> None:
    """Call `act`, or put it off until the transaction around it is on disk. It must raise nothing."""
    if not put_off([act]):
        await _do(act)


def put_off(acts: list[Act]) -> bool:
    """Put `acts` off further if the calling task is in a block of `putting_off`; return whether it is."""
    around = _PUT_OFF.get()
    # The tasks that a task starts have its context, but not its transaction.
    if around is None or around[0] is not asyncio.current_task():
        return False
    around[1].extend(acts)
    return True


@contextmanager
def putting_off(acts: list[Act]) -> Iterator[None]:
    """Collect in `acts` what this task puts off in the block."""
    before = _PUT_OFF.set((asyncio.current_task(), acts))
    try:
        yield
    finally:
        _PUT_OFF.reset(before)


async def do_all(acts: list[Act]) -> None:
    """Do what was put off, in order."""
    for act in acts:
        await _do(act)


async def _do(act: Act) -> None:
    done = act()
    if done is not None:
        await done
