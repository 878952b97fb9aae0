"""Is the server alive, is it ready, what has it counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from server.web.access import bearer
from server.web.not_done import NotDone

Check = Callable[[], Awaitable[bool]]
"""Whether a part of the server is up, really looked at. An exception means no."""

MayRead = Callable[[str | None], Awaitable[bool]]
"""Whether the bearer of a token (None: no token was given) may read the metrics."""


class Health:
    """`checks` are the parts that must be up for the server to be ready, by name."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        metrics: Callable[[], Awaitable[bytes]],
        may_read: MayRead,
        broken: Callable[[], int] = int,
    ) -> None:
        """`broken` counts the tenants that cannot be used: the server is ready without them, and names none."""
        self._broken = broken
        self._checks = checks
        self._metrics = metrics
        self._may_read = may_read

    async def parts(self) -> dict[str, bool]:
        """Which parts are up, by name."""
        return {name: await _is_up(check) for name, check in self._checks.items()}

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._show_metrics),
        ]

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        parts = await self.parts()
        ready = all(parts.values())
        return JSONResponse({"ready": ready, **parts, "tenants_broken": self._broken()}, 200 if ready else 503)

    async def _show_metrics(self, request: Request) -> Response:
        if not await self._may_read(bearer(request.headers.get("authorization"))):
            return NotDone(401, "The metrics need the operator's token.").answer()
        return Response(await self._metrics(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _is_up(check: Check) -> bool:
    try:
        return await check()
    except Exception:
        return False
