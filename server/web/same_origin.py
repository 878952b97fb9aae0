"""What wraps every answer: headers that keep browsers from harm, and no form of another site's is taken."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.not_done import NotDone

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
API = "/api/"

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
NOT_KEPT = "no-store"
"""Of answers that say nothing about it themselves: what is in them is somebody's."""


def is_ours(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether a request comes from a page of ours, as browsers tell (W3C Fetch Metadata; RFC 6454 before it). Pure.

    What tells nothing is not: every browser of these years sends one of the two with a form.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host')}"


class Fence:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", NOT_KEPT)
            await send(message)

        app: ASGIApp = self._app
        by_cookie = scope["method"] not in SAFE and not scope["path"].startswith(API)
        if by_cookie and not is_ours(Headers(scope=scope), scope["scheme"]):
            sentence = "This form was not sent from a page of this server."
            app = NotDone(403, sentence, code="foreign_origin").answer()
        await app(scope, receive, send_with_headers)
