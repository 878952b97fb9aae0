"""Who may do what over HTTP, and how they show who they are.

The API takes bearer tokens (RFC 6750) and no cookies, the pages take the cookie of a session and no tokens. So a page
of another site can do nothing in somebody's name: it has no token, the cookie is SameSite=Strict, and what changes
something must come from a page of ours (`same_origin.py`).

Nobody learns from an answer whether another tenant exists: its name is answered like one that is nobody's.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from engine.tokens import Role, Token
from ground.addresses import Address
from ground.moments import utc_now
from server.tenants.settings import TenantRefused
from server.tenants.soundness import TenantBroken
from server.web.door import caller_of
from server.web.not_done import NotDone, as_not_done
from server.web.office import Office, Visit

COOKIE = "headcount"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""Behind TLS; the prefix has browsers see to it that no other host can set it."""


class Need(StrEnum):
    """What a route asks of whoever calls it."""

    VIEWER = "viewer"
    OWNER = "owner"
    OPERATOR = "operator"


class Verdict(StrEnum):
    WELCOME = "welcome"
    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"


def judge(need: Need, token: Token | None, tenant: str | None) -> Verdict:
    """Whether the bearer of `token` may do what needs `need`, to `tenant` (None: the route is about none). Pure."""
    if token is None:
        return Verdict.UNKNOWN
    if token.role is Role.OPERATOR:
        return Verdict.WELCOME
    if tenant is not None and tenant != token.tenant:
        return Verdict.NOT_FOUND
    if need is Need.OPERATOR or (need is Need.OWNER and token.role is not Role.OWNER):
        return Verdict.FORBIDDEN
    return Verdict.WELCOME


class BearerNeeds(SecurityBase):
    """A dependency of the API's routes: gives the Visit, or raises NotDone."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self.model = HTTPBearer(description="A token made by `headcount token create`.")
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> Visit:
        office: Office = request.app.state.office
        text = bearer(request.headers.get("authorization"))
        token = await office.tokens.find(text, utc_now()) if text else None
        if text and token is None:
            await slow_down(request)
        return await admitted(self.need, token, request)


class SessionNeeds:
    """The same for the pages' routes: by the cookie of a session."""

    def __init__(self, need: Need) -> None:
        self.need = need

    async def __call__(self, request: Request) -> Visit:
        return await admitted(self.need, await session_of(request), request)


Looking = Annotated[Visit, Depends(SessionNeeds(Need.VIEWER))]
Owning = Annotated[Visit, Depends(SessionNeeds(Need.OWNER))]
Operating = Annotated[Visit, Depends(SessionNeeds(Need.OPERATOR))]
"""What the route of a page asks of the person who is signed in. The API's routes have their own (api/asking.py)."""


def bearer(header: str | None) -> str | None:
    """Return the token in an Authorization header (RFC 6750); None if there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def session_of(request: Request) -> Token | None:
    """Who is signed in; None if nobody is (any more)."""
    office: Office = request.app.state.office
    text = request.cookies.get(cookie_name(request))
    return await office.sign_ins.find(text, utc_now()) if text else None


async def token_of(request: Request) -> Token | None:
    """Return the token that the request shows, or that its session was signed in with; None if there is none."""
    office: Office = request.app.state.office
    text = bearer(request.headers.get("authorization"))
    return await office.tokens.find(text, utc_now()) if text else await session_of(request)


async def admitted(need: Need, token: Token | None, request: Request) -> Visit:
    """The visit, if it may be. Raises NotDone: 401, 403 or 404; 429 if the token has too many connections."""
    office: Office = request.app.state.office
    if token is not None:
        introduce(request, token)
    tenant: str | None = request.path_params.get("tenant")
    verdict = judge(need, token, tenant)
    if verdict is Verdict.UNKNOWN or token is None:
        raise NotDone(401, "This needs a token: headcount token create makes one.", code="no_token")
    if verdict is Verdict.NOT_FOUND:
        raise no_such_tenant(tenant)
    if verdict is Verdict.FORBIDDEN:
        raise NotDone(403, _FORBIDDEN[need], code="forbidden")
    if tenant is not None:
        code = None
        try:
            await office.tenants.get(tenant)
        except TenantRefused as error:
            if error.code != "no_folder":
                raise no_such_tenant(tenant) from None
            code = error.code
            await office.soundness.look(tenant, error)
        if broken := told_broken(office, token, tenant):
            broken.code = code or broken.code
            raise broken
    return Visit(office, token, tenant or "")


def introduce(request: Request, token: Token) -> None:
    """Tell the door which good token came over the connection. Raises NotDone 429 if it has too many."""
    if caller := caller_of(request):
        caller.shows(token.id)


def count_stream(request: Request) -> None:
    """Count an event stream of the token. Raises NotDone 429 if it has too many."""
    if caller := caller_of(request):
        caller.follows()


def told_broken(office: Office, token: Token, tenant: str) -> NotDone | None:
    """Return what the bearer of `token` is told of a broken tenant: the operator why, others that it is.

    None if it is not broken.
    """
    why = office.soundness.why(tenant)
    if why is None:
        return None
    told = as_not_done(TenantBroken(tenant))
    if token.role is Role.OPERATOR:
        told.detail = f"{tenant} is broken: {why}."
    return told


_FORBIDDEN = {
    Need.VIEWER: "This is not for you.",
    Need.OWNER: "A viewer may only look: an owner's token is needed for this.",
    Need.OPERATOR: "This is for the operator of the server.",
}


def no_such_tenant(tenant: str | None) -> NotDone:
    return NotDone(404, f"There is no tenant {tenant} here.", code="no_tenant")


def cookie_name(request: Request) -> str:
    return SECURE_COOKIE if request.url.scheme == "https" else COOKIE


async def slow_down(request: Request) -> None:
    """Let somebody who showed a wrong token wait: the longer, the more of them came. Raises NotDone 429."""
    office: Office = request.app.state.office
    address = _address_of(request)
    delay = office.slowing.failed(address, asyncio.get_running_loop().time())
    if delay is None:
        raise NotDone(
            429,
            "Too many wrong tokens at once; try again in a minute.",
            code="too_many_tries",
            headers={"retry-after": "60"},
        )
    try:
        await asyncio.sleep(delay)
    finally:
        office.slowing.waited(address)


def _address_of(request: Request) -> Address:
    """Where a request comes from. A proxy may say anything: what is no address counts as one and the same."""
    try:
        return ip_address(request.client.host if request.client else "")
    except ValueError:
        return ip_address("0.0.0.0")  # noqa: S104 - unknown
