"""The notice of an action, shown once on the page that follows it.

A cookie carries the code of the notice to that page, which deletes it. A seal binds it to the session and the page:
no link, no other session and no other page shows it. A page that a script fetches leaves the cookie alone.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from server.web.access import cookie_name, session_text
from server.web.pages.words import NOTICES
from server.web.segments import routed

KEPT_S = 60
"""The seconds for which a notice waits for its page."""


def redirect(
    request: Request,
    target: str,
    code: str,
    *,
    signed_out: bool = False,
    later: BackgroundTask | None = None,
) -> Response:
    """Return the redirect to the page `target` with the notice `code`. `signed_out`: the session has just ended."""
    session = "" if signed_out else _session(request)
    answer = RedirectResponse(target, 303, background=later)
    answer.set_cookie(
        notice_cookie(request),
        f"{code}.{_seal(session, routed(urlsplit(target).path), code)}",
        max_age=KEPT_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def notice_of(request: Request) -> str | None:
    """Return the sentence of the notice for this page and session; None if there is none, or a script asks."""
    if request.headers.get("sec-fetch-dest", "document") != "document":
        return None
    code, _, seal = request.cookies.get(notice_cookie(request), "").partition(".")
    expected = _seal(_session(request), request.scope["path"], code)
    return NOTICES.get(code) if hmac.compare_digest(seal.encode(), expected.encode()) else None


def drop_notice(request: Request, answer: Response) -> None:
    """Delete the cookie of the notice, so that a reload does not show it again."""
    answer.delete_cookie(
        notice_cookie(request), httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


def notice_cookie(request: Request) -> str:
    return f"{cookie_name(request)}-notice"


def _session(request: Request) -> str:
    return session_text(request) or ""


def _seal(session: str, path: str, code: str) -> str:
    return hmac.new(session.encode(), f"{path}\n{code}".encode(), hashlib.sha256).hexdigest()
