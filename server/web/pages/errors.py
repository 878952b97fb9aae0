"""The page of a request that was refused or failed."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from server.web.access import session_of
from server.web.http_problem import HttpProblem
from server.web.pages.rendering import render

SIGN_IN = "/sign-in"

TITLES = {
    403: "No access",
    404: "Not found",
    413: "Too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}
"""The headings of problems by status; other statuses have DEFAULT_TITLE. The API has the phrases of HTTP instead."""
DEFAULT_TITLE = "Not possible"


async def answer_of(request: Request, http_problem: HttpProblem) -> Response:
    """Return the page of a problem. Without a session it redirects to the sign-in page, which leads back."""
    if http_problem.status == 401:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?{urlencode({'next': target})}" if request.method == "GET" and target != "/" else ""
        return RedirectResponse(SIGN_IN + back, 303)
    answer = render(
        request,
        "problem.html",
        status=http_problem.status,
        title=TITLES.get(http_problem.status, DEFAULT_TITLE),
        problem=http_problem,
        signed_in=await session_of(request) is not None,
    )
    answer.headers.update(http_problem.headers)
    return answer
