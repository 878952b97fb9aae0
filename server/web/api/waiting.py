"""A request that waits for an import to reach its end. It counts as an event stream of its token."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from starlette.requests import Request

from importer.model import WAITING
from importer.queue.entry import Entry
from server.web.access import count_stream, has_valid_token, no_token
from server.web.office import Visit

LONGEST_S = 60


async def import_at_its_end(request: Request, visit: Visit, import_id: int, wait_s: int) -> Entry:
    """Return the import as soon as it has ended or is held, or as it is after `wait_s`.

    Returns at once if the client has disconnected or the server stops. Raises Refused for an unknown id, and
    HttpProblem: 429 if the token has too many event streams, 401 if the token ended meanwhile.
    """
    seen = await visit.office.reader.newest_move()  # before the import is read, so that no change is missed
    entry = await visit.entry(import_id)
    if entry.state not in WAITING or not wait_s:
        return entry
    count_stream(request)
    ending, leaving = asyncio.ensure_future(_end(visit, import_id, seen)), asyncio.ensure_future(_leave(request))
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
    return await visit.entry(import_id)


async def _end(visit: Visit, import_id: int, seen: int) -> None:
    """Wait until the import has ended or is held, or the server stops."""
    async with aclosing(visit.office.live.follow(visit.tenant, seen)) as events:
        async for event in events:
            if event.import_id == import_id and event.state not in WAITING:
                return


async def _leave(request: Request) -> None:
    """Wait until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
