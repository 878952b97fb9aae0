"""The page of a request that was refused or failed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from server.web.http_problem import HttpProblem
from server.web.office import Visit
from server.web.pages.leading import sign_in_for
from server.web.pages.rendering import render
from server.web.pages.visitor import visitor_of

TITLES = {
    403: "No access",
    404: "Not found",
    405: "Not a page",
    413: "Too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}
"""The headings of problems by status; other statuses have DEFAULT_TITLE. The API has the phrases of HTTP instead."""
DEFAULT_TITLE = "Not possible"

SENTENCES = {
    "no_tenant": "There is no company with this name.",
    "bad_method": "This address only receives a form. Open its page again.",
}
"""The sentences of problems on pages by code, if they differ from those of the API."""

SECTIONS = {
    "imports": "Imports",
    "files": "Files",
    "users": "Users",
    "settings": "Settings",
    "keys": "Keys",
    "notifications": "Notifications",
    "colleagues": "Colleagues",
    "try": "Send a file",
}
"""The parts of a company's pages, by the name in the address."""


BROKEN = frozenset({"tenant_broken", "no_folder"})
"""The codes of problems that all pages of a company have."""


async def answer_of(request: Request, http_problem: HttpProblem) -> Response:
    """Return the page of a problem. Without a session it redirects to the sign-in page, which leads back."""
    if http_problem.status == 401:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(sign_in_for(target if request.method == "GET" and target != "/" else ""), 303)
    visit = await visitor_of(request)
    answer = render(
        request,
        "problem.html",
        visit,
        status=http_problem.status,
        title=TITLES.get(http_problem.status, DEFAULT_TITLE),
        sentence=SENTENCES.get(http_problem.code or "", http_problem.detail),
        back=_back(request.url.path, visit, http_problem.code) if visit else (sign_in_for(""), "Sign in"),
    )
    answer.headers.update(http_problem.headers)
    return answer


def _back(path: str, visit: Visit, code: str | None) -> tuple[str, str]:
    """Return address and label of the way back. A broken company has no page: the operator finds it on `/server`."""
    if code in BROKEN and visit.is_operator:
        return "/server#broken", "Server"
    address, label = way_back(path, visit.tenant)
    return address, "Try again" if address == path else label


def way_back(path: str, tenant: str) -> tuple[str, str]:
    """Return address and label of the page above `path`, for a visitor of this company ("": of all). Pure."""
    if not tenant:
        return "/tenants", "All companies"
    home = f"/tenants/{tenant}"
    section = path.removeprefix(f"{home}/").partition("/")[0] if path.startswith(f"{home}/") else ""
    known = section if section in SECTIONS and path != f"{home}/{section}" else "imports"
    return f"{home}/{known}", SECTIONS[known]
