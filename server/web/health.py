"""Is the server alive, is it ready, what has it counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ground.refusals import Refusal
from server.web.access import bearer
from server.web.not_done import NotDone

Check = Callable[[], Awaitable[bool]]
"""Whether a part of the server is up, really looked at. An exception means no; a Refusal says why."""

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
        return {name: why is None for name, why in (await self._looked_at()).items()}

    async def _looked_at(self) -> dict[str, str | None]:
        """Why each part is not up, None if it is."""
        return {name: await _why_not_up(check) for name, check in self._checks.items()}

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._show_metrics),
        ]

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        looked_at = await self._looked_at()
        parts = {name: why is None for name, why in looked_at.items()}
        reasons = {name: why for name, why in looked_at.items() if why}
        body = {"ready": all(parts.values()), **parts, "tenants_broken": self._broken()}
        return JSONResponse(body | ({"reasons": reasons} if reasons else {}), 200 if body["ready"] else 503)

    async def _show_metrics(self, request: Request) -> Response:
        if not await self._may_read(bearer(request.headers.get("authorization"))):
            return NotDone(401, "The metrics need the operator's token.").answer()
        return Response(await self._metrics(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _why_not_up(check: Check) -> str | None:
    """Return why a part is not up, "" if that is not known; None if it is up."""
    try:
        return None if await check() else ""
    except Refusal as refusal:
        return refusal.message
    except Exception:
        return ""
