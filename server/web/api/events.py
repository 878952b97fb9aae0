"""`/events`: the changes of a tenant's imports and runs as they happen, as server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request, Response

from importer.model import INTEGER_MAX
from server.web.access import count_stream, has_valid_token
from server.web.api.asking import Looking, Routes
from server.web.api.refusals import LOOKING, Responses, refuses
from server.web.downloads import streamed
from server.web.live import HEADERS, MEDIA_TYPE, as_stream

router = Routes(prefix="/tenants/{tenant}/events", tags=["imports"])

EVENTS: Responses = {
    200: {
        "description": "Events, until the client closes the connection.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    }
}
Seen = Annotated[
    int | None,
    Header(
        alias="last-event-id",
        ge=0,
        le=INTEGER_MAX,
        description="The `id` of the last event that you received; the stream starts with the events after it.",
    ),
]


@router.get(
    "",
    response_class=Response,
    responses={**EVENTS, **refuses(*LOOKING, "bad_request", "too_many_streams")},
    summary="Follow imports",
)
async def follow_imports(visit: Looking, request: Request, last_event_id: Seen = None) -> Response:
    """Server-sent events: `state` when the state of an import changes, `progress` while an import runs.

    The data of each event is an object with `tenant`, `import` (its id), `state` and `progress` (0 to 1, or null).
    `run` is sent when the state of a run of a hook changes, with `tenant`, `run` (its id) and `state`.
    After 15 seconds without an event a comment is sent.
    The stream ends when the server stops, or the token is revoked or expires.
    """
    count_stream(request)
    events = visit.office.live.follow(visit.tenant, last_event_id)
    return streamed(request, as_stream(events, lambda: has_valid_token(request)), MEDIA_TYPE, HEADERS)
