"""What the server answers over HTTP: is it alive, is it ready, what has it counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[bool]]
"""Whether a part of the server is up, really looked at. An exception means no."""

MayRead = Callable[[str | None], Awaitable[bool]]
"""Whether the bearer of a token (None: no token was given) may read the metrics."""


def build_app(checks: Mapping[str, Check], metrics: Callable[[], Awaitable[bytes]], may_read: MayRead) -> Starlette:
    """`checks` are the parts that must be up for the server to be ready, by name."""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        parts = {name: await _is_up(check) for name, check in checks.items()}
        ready = all(parts.values())
        return JSONResponse({"ready": ready, **parts}, 200 if ready else 503)

    async def show_metrics(request: Request) -> Response:
        if not await may_read(bearer(request.headers.get("authorization"))):
            return problem(401, "Unauthorized", "The metrics need the operator's token.")
        return Response(await metrics(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", show_metrics)]
    return Starlette(routes=routes)


def bearer(header: str | None) -> str | None:
    """The token in an Authorization header; None if there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def problem(status: int, title: str, detail: str) -> Response:
    """An error as RFC 9457 wants it."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def _is_up(check: Check) -> bool:
    try:
        return await check()
    except Exception:
        return False
