"""`/help`: the documents for owners and operators. They need no token, and look signed in where a session is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from importer.errors import DatabaseFault, DatabaseUnusable, TryAgain
from server.web.access import session_of
from server.web.http_problem import HttpProblem
from server.web.office import Visit
from server.web.pages.help.book import GROUPS, SAMPLE, TOPICS, book, sample
from server.web.pages.rendering import render

router = APIRouter(prefix="/help")


@router.get("")
async def show_contents(request: Request) -> Response:
    return render(request, "help.html", await _visitor(request), groups=GROUPS)


@router.get(f"/{SAMPLE}")
async def download_sample() -> Response:
    """Answer with a small file of users, to be changed and sent."""
    headers = {"content-disposition": f'attachment; filename="{SAMPLE}"', "cache-control": "no-cache"}
    return Response(sample(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{topic}")
async def show_topic(request: Request, topic: str) -> Response:
    """Show a document. Raises HttpProblem 404 if the help has none of this name."""
    if topic not in TOPICS:
        raise HttpProblem(404, "The help has no page of this name. /help lists all.", code="not_found")
    return render(request, "help-topic.html", await _visitor(request), document=book()[topic])


async def _visitor(request: Request) -> Visit | None:
    """Return the visit whose navigation the page shows; None without a session, or if it cannot be read now."""
    try:
        token = await session_of(request)
    except (TryAgain, DatabaseFault, DatabaseUnusable):
        return None
    return Visit(request.app.state.office, token, token.tenant or "") if token else None
