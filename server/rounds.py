"""Work that is done again and again until the server stops, and writes that are insisted on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from importer.errors import TryAgain

INSIST_S = 1.0
"""Between two tries of a write that is insisted on."""

Work = Callable[[], Awaitable[float]]
"""One round. Returns the seconds until the next."""

Failed = Callable[[Exception], float]
"""Logs why a round failed. Returns the seconds until the next."""


async def again(work: Work, failed: Failed, ending: asyncio.Event, *, wake: asyncio.Event | None = None) -> None:
    """Do `work` in rounds until `ending` is set. A round that raises does not end them: `failed` is called with it.

    `wake` ends a wait early; set it together with `ending`, and clear it in `work`.
    """
    while not ending.is_set():
        try:
            wait_s = await work()
        except Exception as error:
            wait_s = failed(error)
        await set_within(wake or ending, wait_s)


async def insist(write: Callable[[], Awaitable[None]], ending: asyncio.Event) -> None:
    """Write down what has happened outside, with as many tries as it takes.

    Raises TryAgain once `ending` is set: what is not written down happens again after the next start.
    """
    while True:
        try:
            return await write()
        except TryAgain:
            if await set_within(ending, INSIST_S):
                raise


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, at most `seconds`. Return whether it is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
