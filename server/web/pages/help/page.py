"""`/help`: the documents for owners and operators. They need no token, and look signed in where a session is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.web.http_problem import HttpProblem
from server.web.pages.help.book import GROUPS, SAMPLE, TOPICS, book, sample
from server.web.pages.rendering import render
from server.web.pages.visitor import visitor_of

router = APIRouter(prefix="/help")


@router.get("")
async def show_contents(request: Request) -> Response:
    return render(request, "help.html", await visitor_of(request), groups=GROUPS)


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
    return render(request, "help-topic.html", await visitor_of(request), document=book()[topic])
