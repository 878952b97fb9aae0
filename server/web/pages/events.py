"""The events of imports for the script of the pages, as server-sent events, while the session is valid."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.requests import Request
from starlette.responses import Response

from importer.model import INTEGER_MAX
from server.web.access import Looking, Operating, count_stream, session_of
from server.web.downloads import streamed
from server.web.live import BEAT_S, HEADERS, MEDIA_TYPE, as_stream
from server.web.office import Visit

router = APIRouter()

_NUMBER = re.compile("[0-9]{1,19}")

LastEvent = Annotated[str, Header(alias="last-event-id")]


@router.get("/tenants/events")
async def of_all(
    request: Request,
    visit: Operating,
    after: str = "",
    last: LastEvent = "",
) -> Response:
    """Stream the events of all tenants, for the operator."""
    return _stream(request, visit, None, last or after)


@router.get("/tenants/{tenant}/imports/events")
async def of_tenant(request: Request, visit: Looking, after: str = "", last: LastEvent = "") -> Response:
    """Stream the events after `last` (the newest that the browser has received), or else after that of the page."""
    return _stream(request, visit, visit.tenant, last or after)


def _stream(request: Request, visit: Visit, tenant: str | None, seen: str) -> Response:
    async def may_stay() -> bool:
        return await session_of(request) == visit.token

    count_stream(request)
    number = min(int(seen), INTEGER_MAX) if _NUMBER.fullmatch(seen) else None
    events = visit.office.live.follow(tenant, number)
    return streamed(request, as_stream(events, may_stay, BEAT_S), MEDIA_TYPE, HEADERS)
