"""Count HTTP connections and refuse those above the caps; crowd.py decides which.

The door is the outermost layer of the app. Around it is only uvicorn's layer for trusted proxies, which sets the
client's address. Every request has its `Caller`: access.py passes it the token, and it counts event streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from ipaddress import ip_address

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ground.addresses import Network, source_of
from server.web.crowd import Caps, Crowd, Guest
from server.web.http_problem import AGAIN_S, HttpProblem
from server.web.same_origin import HEADERS

log = logging.getLogger(__name__)

ALWAYS_ANSWERED = frozenset({"/healthz", "/readyz", "/metrics"})
"""The paths for which spare places are kept."""

WARN_EVERY_S = 60.0
"""The warning about too many connections is logged at most once in this time."""

UNKNOWN = "unknown"
"""The source of a client whose address, as a proxy gives it, is invalid."""


class Caller:
    """One connection, for the door and the routes."""

    def __init__(self, door: Door, guest: Guest, hang_up: Callable[[], None]) -> None:
        self.guest = guest
        self.hang_up = hang_up
        self._door = door

    def shows(self, token: int) -> None:
        """Count the connection as one of this token. Raises HttpProblem 429 above the token's share."""
        leaving = self._door.crowd.recognize(self.guest, token)
        if leaving is None:
            raise _too_many("too_many_connections", "This token has too many requests at once. Try again later.")
        self._door.dismiss(leaving)

    def follows(self) -> None:
        """Count the request as an event stream until it ends. Raises HttpProblem 429 above the cap."""
        if not self._door.crowd.follow(self.guest):
            raise _too_many("too_many_streams", "This token has too many event streams. Close one.")


def caller_of(request: Request) -> Caller | None:
    """Return the connection of a request; None if the app runs without a listener."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller


class Door:
    """ASGI middleware around the app of one listener, and the callers of that listener."""

    def __init__(self, app: ASGIApp, caps: Caps, trusted: Iterable[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._callers: dict[Guest, Caller] = {}
        self._warned_at = float("-inf")
        self.crowd = Crowd(caps)

    def enter(self, host: str | None, hang_up: Callable[[], None]) -> Caller:
        """Count a connection from `host`; this may disconnect others."""
        guest, leaving = self.crowd.arrive(self._source(host))
        caller = self._callers[guest] = Caller(self, guest, hang_up)
        self.dismiss(leaving)
        return caller

    def leave(self, caller: Caller) -> None:
        """Remove a closed connection."""
        self.crowd.leave(caller.guest)
        self._callers.pop(caller.guest, None)

    def dismiss(self, guests: Iterable[Guest]) -> None:
        """Disconnect these guests."""
        for guest in guests:
            self._warn()
            if caller := self._callers.pop(guest, None):
                caller.hang_up()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller: Caller | None = scope.get("state", {}).get("caller")
        if caller is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope["client"]
        leaving = self.crowd.ask(caller.guest, self._source(client[0] if client else None))
        try:
            self.dismiss(leaving or ())
            if leaving is not None:
                await self._app(scope, receive, send)
            else:
                self._warn()
                app = self._app if scope["path"] in ALWAYS_ANSWERED else _crowded()
                await app(scope, receive, _closing(send))
        finally:
            self.crowd.answered(caller.guest)

    def _source(self, host: str | None) -> str | None:
        """Return the source of a client: an IPv4 address or the /64 of an IPv6 one; None for a trusted proxy."""
        try:
            address = ip_address(host or "")
        except ValueError:
            return UNKNOWN
        return None if any(address in network for network in self._trusted) else source_of(address)

    def _warn(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            log.warning(
                "There are too many HTTP connections; some are closed or refused.", extra={"event": "http_crowded"}
            )


def _too_many(code: str, sentence: str) -> HttpProblem:
    return HttpProblem(429, sentence, code=code, headers={"retry-after": str(AGAIN_S)})


def _crowded() -> ASGIApp:
    sentence = "The server has too many connections. Try again later."
    return HttpProblem(503, sentence, code="crowded", headers={**HEADERS, "retry-after": str(AGAIN_S)}).answer()


def _closing(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
        await send(message)

    return closing
