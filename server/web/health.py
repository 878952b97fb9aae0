"""The health checks and metrics: `/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ground.refusals import Refusal
from server.web.access import bearer
from server.web.http_problem import HttpProblem

Check = Callable[[], Awaitable[bool]]
"""Returns whether a part of the server is up, checked now. An exception means it is not; a Refusal has the reason."""

MayRead = Callable[[str | None], Awaitable[bool]]
"""Returns whether a token (None: no token was sent) may read the metrics."""


class Health:
    """The three routes. `checks` has the parts that must be up for the server to be ready, by name."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        metrics: Callable[[], Awaitable[bytes]],
        may_read: MayRead,
        broken: Callable[[], int] = int,
        hooks_broken: Callable[[], int] = int,
    ) -> None:
        """`broken` counts the broken tenants, `hooks_broken` the hooks that cannot run.

        The server is ready despite them, and names none.
        """
        self._hooks_broken = hooks_broken
        self._broken = broken
        self._checks = checks
        self._metrics = metrics
        self._may_read = may_read

    async def parts(self) -> dict[str, bool]:
        """Return which parts are up, by name."""
        return {name: why is None for name, why in (await self._reasons()).items()}

    async def _reasons(self) -> dict[str, str | None]:
        """Return why each part is down, by name; None for a part that is up."""
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
        found = await self._reasons()
        parts = {name: why is None for name, why in found.items()}
        reasons = {name: why for name, why in found.items() if why}
        broken = {"tenants_broken": self._broken(), "hooks_broken": self._hooks_broken()}
        body = {"ready": all(parts.values()), **parts, **broken}
        return JSONResponse(body | ({"reasons": reasons} if reasons else {}), 200 if body["ready"] else 503)

    async def _show_metrics(self, request: Request) -> Response:
        if not await self._may_read(bearer(request.headers.get("authorization"))):
            return HttpProblem(401, "The metrics need an operator's token.").answer()
        return Response(await self._metrics(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _why_not_up(check: Check) -> str | None:
    """Return why a part is down ("" if unknown); None if it is up."""
    try:
        return None if await check() else ""
    except Refusal as refusal:
        return refusal.message
    except Exception:
        return ""
