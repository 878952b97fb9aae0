"""Requests that wait for the end of an import or of a run of a hook. Each counts as an event stream of its token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

from starlette.requests import Request

from engine.runs import Run
from importer.model import WAITING, ImportState
from importer.queue.entry import Entry
from server.web.access import count_stream, has_valid_token, no_token
from server.web.live import Event
from server.web.office import Visit

LONGEST_S = 60


class Ending(Protocol):
    """An import or a run."""

    @property
    def state(self) -> ImportState: ...


E = TypeVar("E", bound=Ending)


async def import_at_its_end(request: Request, visit: Visit, import_id: int, wait_s: int) -> Entry:
    """Return the import as soon as it has ended or is held, or as it is after `wait_s`.

    Returns at once if the client has disconnected or the server stops. Raises Refused for an unknown id, and
    HttpProblem: 429 if the token has too many event streams, 401 if the token ended meanwhile.
    """
    return await _at_its_end(
        request, visit, wait_s, lambda: visit.entry(import_id), lambda event: event.import_id == import_id
    )


async def run_at_its_end(request: Request, visit: Visit, run_id: int, wait_s: int) -> Run:
    """Return the run as soon as it has ended, or as it is after `wait_s`. Returns and raises as above."""
    return await _at_its_end(request, visit, wait_s, lambda: visit.run(run_id), lambda event: event.run_id == run_id)


async def _at_its_end(
    request: Request,
    visit: Visit,
    wait_s: int,
    read: Callable[[], Awaitable[E]],
    is_about: Callable[[Event], bool],
) -> E:
    """Return what `read` returns, when an event that `is_about` it says that it has ended."""
    seen = await visit.office.reader.newest_move()  # before it is read, so that no change is missed
    found = await read()
    if found.state not in WAITING or not wait_s:
        return found
    count_stream(request)
    ending, leaving = asyncio.ensure_future(_end(visit, is_about, seen)), asyncio.ensure_future(_leave(request))
    try:
        await asyncio.wait({ending, leaving}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        leaving.cancel()
        await asyncio.wait({ending, leaving})
    if not ending.cancelled():
        ending.result()  # raises an error of the wait
    if not await has_valid_token(request):
        raise no_token()
    return await read()


async def _end(visit: Visit, is_about: Callable[[Event], bool], seen: int) -> None:
    """Wait until an event that `is_about` it is an end, or the server stops."""
    async with aclosing(visit.office.live.follow(visit.tenant, seen)) as events:
        async for event in events:
            if is_about(event) and event.state not in WAITING:
                return


async def _leave(request: Request) -> None:
    """Wait until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
