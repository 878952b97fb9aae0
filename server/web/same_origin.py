"""Middleware around every request: it adds security headers and refuses forms from other sites."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.web.http_problem import HttpProblem

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
"""The Cache-Control of answers that set none: they may contain a tenant's data."""


def is_same_origin(headers: Mapping[str, str], scheme: str) -> bool:
    """Return whether a request comes from a page of this server: Fetch Metadata (W3C), else Origin (RFC 6454). Pure.

    Without either header it does not: every current browser sends one of them with a form.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host')}"


Answer = Callable[[Request, Exception], Awaitable[Response]]


class Fence:
    """ASGI middleware around the whole app. `answer` makes the answer to a form that is refused."""

    def __init__(self, app: ASGIApp, answer: Answer) -> None:
        self._app = app
        self._answer = answer

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
        if by_cookie and not is_same_origin(Headers(scope=scope), scope["scheme"]):
            sentence = "This form was not sent from a page of this server."
            app = await self._answer(Request(scope), HttpProblem(403, sentence, code="foreign_origin"))
        await app(scope, receive, send_with_headers)
