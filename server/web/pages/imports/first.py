"""The steps to a company's first file, which its empty list of imports shows."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from ground.moments import utc_now
from server.web.office import Visit
from server.web.pages.connecting import Connection, connection_of


@dataclass(frozen=True, slots=True)
class FirstFile:
    """Where clients connect, and which steps are done: a key is valid, and a client has logged in with a key."""

    connection: Connection
    has_key: bool
    has_connected: bool


async def first_file(request: Request, visit: Visit) -> FirstFile:
    """Return the steps of the company. Raises RingUnreadable."""
    now = utc_now()
    keys = await visit.ring.keys()
    uses = await visit.office.key_uses.of(visit.tenant)
    return FirstFile(
        connection_of(request, visit),
        has_key=any(not key.expired(now) for key in keys),
        has_connected=any(key.fingerprint in uses for key in keys),
    )
