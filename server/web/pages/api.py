"""The API as a page, made of the OpenAPI document. It needs no token."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.web.api.asking import origin_of
from server.web.api.document import DESCRIPTION, TAGS, document
from server.web.api.reading import operations
from server.web.pages.rendering import render

router = APIRouter()


@router.get("/api")
async def show_page(request: Request) -> Response:
    """Show the OpenAPI document as a page."""
    server = origin_of(request)
    groups = [(name, text, list(operations(document(), name, server))) for name, text in TAGS.items()]
    return render(request, "api.html", description=DESCRIPTION.split("\n\n"), groups=groups, server=server)
