"""The visitor of a page that needs no session: it looks signed in where a session is."""

from __future__ import annotations

from starlette.requests import Request

from ground.refusals import Refusal
from importer.errors import DatabaseFault, DatabaseUnusable
from server.tenants.settings import TenantRefused
from server.web.access import session_of
from server.web.office import Office, Visit


async def visitor_of(request: Request) -> Visit | None:
    """Return the visit whose navigation the page shows; None without a session that can be read."""
    office: Office = request.app.state.office
    try:
        token = await session_of(request)
        if token is None:
            return None
        return Visit(office, token, token.tenant or await _named(office, request.url.path))
    except (Refusal, DatabaseFault, DatabaseUnusable, OSError):
        return None


async def _named(office: Office, path: str) -> str:
    """Return the company that an operator's address names; "" if there is none with this name."""
    parts = path.split("/")
    name = parts[2] if parts[1] == "tenants" and len(parts) > 3 else ""
    try:
        return (await office.tenants.require(name)).name
    except TenantRefused:
        return ""
