"""What a person sees who can't have what they asked for."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from server.web.access import session_of
from server.web.not_done import NotDone
from server.web.pages.rendering import render

SIGN_IN = "/sign-in"

AGAIN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Headcount</title>
<p><a href="">Go on</a></p></html>
"""
"""For whoever comes by a link from elsewhere (a mail, say): their browser kept the cookie back, as it is to. From
this page of ours it asks again, with it."""


async def tell(request: Request, not_done: NotDone) -> Response:
    """The page of what was not done; whoever is not signed in may do that first, and is brought back."""
    if not_done.status == 401:
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            return HTMLResponse(AGAIN)
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?{urlencode({'next': target})}" if request.method == "GET" and target != "/" else ""
        return RedirectResponse(SIGN_IN + back, 303)
    answer = render(
        request,
        "problem.html",
        status=not_done.status,
        problem=not_done,
        signed_in=await session_of(request) is not None,
    )
    answer.headers.update(not_done.headers)
    return answer
