"""Work in rounds until the server stops, and writes that are repeated until they succeed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from importer.errors import TryAgain

INSIST_S = 1.0
"""Seconds between two tries of `insist`."""

LEAD_S = 1.0
"""Seconds until another server looks again whether it leads now."""

LONGEST_REST_S = 3600.0
"""The longest `rest_s`. A process may be frozen for days while it measures a step, for example by `docker pause`."""

Work = Callable[[], Awaitable[float]]
"""One round. It returns the seconds until the next."""

Leads = Callable[[], bool]
"""Return whether this server leads (`engine.nodes`): it does what only one server must do."""

Failed = Callable[[Exception], float]
"""Logs why a round failed. It returns the seconds until the next."""


def led(work: Work, leads: Leads) -> Work:
    """Return `work` as the server does it that leads. On another one, a round does nothing."""

    async def once() -> float:
        return await work() if leads() else LEAD_S

    return once


async def again(work: Work, failed: Failed, ending: asyncio.Event, *, wake: asyncio.Event | None = None) -> None:
    """Run `work` in rounds until `ending` is set. If a round raises, call `failed` with the exception and go on.

    `wake` ends the wait between rounds early. Set it together with `ending`, and clear it in `work`.
    """
    while not ending.is_set():
        try:
            wait_s = await work()
        except Exception as error:
            wait_s = failed(error)
        await set_within(wake or ending, wait_s)


async def insist(write: Callable[[], Awaitable[None]], ending: asyncio.Event) -> None:
    """Record something that happened outside of the database; try until it succeeds.

    Raises TryAgain once `ending` is set. A fact that was not recorded happens again after the next start.
    """
    while True:
        try:
            return await write()
        except TryAgain:
            if await set_within(ending, INSIST_S):
                raise


def rest_s(took_s: float, times: float) -> float:
    """Return how long to pause after a step of `took_s` seconds: `times` as long, at most LONGEST_REST_S."""
    return min(took_s * times, LONGEST_REST_S)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, at most `seconds`; return whether it is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
