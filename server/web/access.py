"""Authentication and access over HTTP: which token may do what to which tenant.

The API takes bearer tokens (RFC 6750) and no cookies; the pages take the cookie of a session and no tokens. A page of
another site cannot act for a user who is signed in: it has no token. The cookie is SameSite=Lax: browsers send it
with a link from another site, such as a mail, but with no form and no script of one. GET changes nothing, and a
request that changes something must come from a page of this server (`same_origin.py`).

An answer never reveals whether another tenant exists: its name is answered like an unknown one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
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
from server.web.http_problem import HttpProblem, as_http_problem
from server.web.office import Office, Visit

COOKIE = "headcount"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""The cookie over HTTPS. Because of the prefix, browsers accept it only from this host, over HTTPS."""


class Need(StrEnum):
    """The role that a route requires."""

    VIEWER = "viewer"
    OWNER = "owner"
    OPERATOR = "operator"


class Verdict(StrEnum):
    WELCOME = "welcome"
    UNKNOWN = "unknown"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not found"


def judge(need: Need, token: Token | None, tenant: str | None) -> Verdict:
    """Return whether `token` may use a route that requires `need` for `tenant` (None: a route without one). Pure."""
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
    """A dependency of the API's routes: returns the Visit, or raises HttpProblem.

    A query parameter that comes twice is refused too. Without `sound`, a broken tenant is admitted.
    """

    def __init__(self, need: Need, *, sound: bool = True) -> None:
        self.need = need
        self.sound = sound
        self.model = HTTPBearer(description="A token created by `headcount token create`.")
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> Visit:
        office: Office = request.app.state.office
        text = bearer(request.headers.get("authorization"))
        token = await office.tokens.find(text, utc_now()) if text else None
        if text and token is None:
            await slow_down(request)
        visit = await admitted(self.need, token, request, sound=self.sound)
        refuse_repeated(request)
        return visit


class SessionNeeds:
    """The dependency of the pages' routes: it reads the cookie of a session."""

    def __init__(self, need: Need) -> None:
        self.need = need

    async def __call__(self, request: Request) -> Visit:
        return await admitted(self.need, await session_of(request), request)


Looking = Annotated[Visit, Depends(SessionNeeds(Need.VIEWER))]
Owning = Annotated[Visit, Depends(SessionNeeds(Need.OWNER))]
Operating = Annotated[Visit, Depends(SessionNeeds(Need.OPERATOR))]
"""The required roles, as types of a page's parameters. The API's routes have their own (api/asking.py)."""


def bearer(header: str | None) -> str | None:
    """Return the token in an Authorization header (RFC 6750); None if there is none."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def session_text(request: Request) -> str | None:
    """Return the text of the session that the browser sent, which may have ended; None if it sent none."""
    return request.cookies.get(cookie_name(request))


async def session_of(request: Request) -> Token | None:
    """Return the token of the session; None without a session, or after its end."""
    office: Office = request.app.state.office
    text = session_text(request)
    return await office.sign_ins.find(text, utc_now()) if text else None


async def token_of(request: Request) -> Token | None:
    """Return the token of the request's header, or else of its session; None if there is none."""
    office: Office = request.app.state.office
    text = bearer(request.headers.get("authorization"))
    return await office.tokens.find(text, utc_now()) if text else await session_of(request)


async def admitted(need: Need, token: Token | None, request: Request, *, sound: bool = True) -> Visit:
    """Return the visit. Raises HttpProblem: 401, 403 or 404 without access; 429 above the share of the token.

    With `sound`, also 503 if the tenant is broken.
    """
    office: Office = request.app.state.office
    if token is not None:
        introduce(request, token)
    tenant: str | None = request.path_params.get("tenant")
    verdict = judge(need, token, tenant)
    if verdict is Verdict.UNKNOWN or token is None:
        raise no_token()
    if verdict is Verdict.NOT_FOUND:
        raise no_such_tenant(tenant)
    if verdict is Verdict.FORBIDDEN:
        raise HttpProblem(403, _FORBIDDEN[need], code="forbidden")
    if tenant is not None and not sound:
        try:
            await office.tenants.require(tenant)
        except TenantRefused:
            raise no_such_tenant(tenant) from None
    elif tenant is not None:
        code = None
        try:
            await office.tenants.get(tenant)
        except TenantRefused as error:
            if error.code != "no_folder":
                raise no_such_tenant(tenant) from None
            code = error.code
            await office.soundness.look(tenant, error)
        if broken := broken_answer(office, token, tenant):
            broken.code = code or broken.code
            raise broken
    return Visit(office, token, tenant or "")


def refuse_repeated(request: Request) -> None:
    """Raise HttpProblem 422 if a query parameter comes twice: which of the values is meant cannot be known."""
    counted = Counter(name for name, _ in request.query_params.multi_items())
    repeated = {name: "comes more than once" for name, count in counted.items() if count > 1}
    if repeated:
        name, sentence = next(iter(repeated.items()))
        raise HttpProblem(422, f"{name}: {sentence}.", code="bad_request", errors=repeated)


async def has_valid_token(request: Request) -> bool:
    """Return whether the token of the header is still valid: it may end while a request is answered."""
    office: Office = request.app.state.office
    text = bearer(request.headers.get("authorization"))
    return text is not None and await office.tokens.find(text, utc_now()) is not None


def introduce(request: Request, token: Token) -> None:
    """Count the connection as one of this valid token. Raises HttpProblem 429 if the token has too many."""
    if caller := caller_of(request):
        caller.shows(token.id)


def count_stream(request: Request) -> None:
    """Count an event stream of the token. Raises HttpProblem 429 if it has too many."""
    if caller := caller_of(request):
        caller.follows()


def broken_answer(office: Office, token: Token, tenant: str) -> HttpProblem | None:
    """Return the answer about a broken tenant, with the reason for the operator only; None if it is not broken."""
    why = office.soundness.why(tenant)
    if why is None:
        return None
    answer = as_http_problem(TenantBroken(tenant))
    if token.role is Role.OPERATOR:
        answer.detail = f"{tenant} is broken: {why}."
    return answer


_FORBIDDEN = {
    Need.VIEWER: "You do not have access.",
    Need.OWNER: "You do not have access: this needs an owner's token.",
    Need.OPERATOR: "You do not have access: this needs the operator's token.",
}


def no_token() -> HttpProblem:
    return HttpProblem(401, "This needs a token. The operator creates one: headcount token create.", code="no_token")


def no_such_tenant(tenant: str | None) -> HttpProblem:
    return HttpProblem(404, f"There is no tenant “{tenant}”.", code="no_tenant")


def cookie_name(request: Request) -> str:
    return SECURE_COOKIE if request.url.scheme == "https" else COOKIE


async def slow_down(request: Request) -> None:
    """Delay the answer to a wrong token; each failure makes it longer. Raises HttpProblem 429 above the limit."""
    office: Office = request.app.state.office
    address = address_of(request)
    delay = office.slowing.failed(address, asyncio.get_running_loop().time())
    if delay is None:
        raise HttpProblem(
            429,
            "Too many wrong tokens at once. Try again in a minute.",
            code="too_many_tries",
            headers={"retry-after": "60"},
        )
    try:
        await asyncio.sleep(delay)
    finally:
        office.slowing.waited(address)


def address_of(request: Request) -> Address:
    """Return the address of the client. A proxy may send any text: all invalid addresses count as one address."""
    try:
        return ip_address(request.client.host if request.client else "")
    except ValueError:
        return ip_address("0.0.0.0")  # noqa: S104 - unknown
