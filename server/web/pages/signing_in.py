"""`/sign-in` with a token or by a link in a mail, `/sign-out`, and `/`, which redirects to the token's first page.

A request for a link gets one answer, whether or not a token has the address. Programs that check mails open the links
in them: so the page of a link has a button, and only that signs in.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.tokens import Token
from ground.addresses import source_of
from ground.moments import utc_now
from server.tenants.access.sign_ins import LINK_S, SESSION_S
from server.web.access import Looking, address_of, cookie_name, introduce, session_of, session_text, slow_down
from server.web.http_problem import HttpProblem
from server.web.office import Office
from server.web.pages.leading import further, home_of, page_for, page_of_site, sign_in_for
from server.web.pages.notices import redirect
from server.web.pages.rendering import render

FORM_BYTES_MOST = 16 * 1024
"""The limit of a form from a client that is not known yet: it holds a token and the page to go to."""

SITE = 48
"""The prefix of an IPv6 network that counts as one source of requests: a provider may give a customer that much."""

router = APIRouter(max_body_size=FORM_BYTES_MOST)


@router.get("/")
async def home(visit: Looking) -> Response:
    return RedirectResponse(home_of(visit.token), 303)


@router.get("/sign-in")
async def ask(request: Request, then: Annotated[str, Query(alias="next")] = "") -> Response:
    token = await session_of(request)
    if token is not None:
        return RedirectResponse(page_for(token, then), 303)
    return _form(request, then)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    token: Annotated[str, Form()] = "",
    then: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Open a session for a valid token. For a wrong token, show the form again after a delay."""
    office: Office = request.app.state.office
    found = await office.tokens.find(token.strip(), utc_now())
    if found is not None:
        introduce(request, found)
        await _end_earlier(request)
        if cookie := await office.sign_ins.open(found, utc_now()):
            return _signed_in(request, found, cookie, then)
    await slow_down(request)
    return _form(request, then, status=401, wrong=True)


@router.post("/sign-in/request-link")
async def request_link(
    request: Request,
    email: Annotated[str, Form()] = "",
    then: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Answer at once; then send the links for this address, if a token has it. They lead to the page `next`."""
    office: Office = request.app.state.office
    if office.sign_in_mails is None:
        raise HttpProblem(404, "This server sends no sign-in links.", code="not_found")
    source = source_of(address_of(request), SITE)
    if not office.link_requests.allows(source, asyncio.get_running_loop().time()):
        raise HttpProblem(
            429,
            "Too many sign-in links were requested from this network address. Try again in an hour.",
            code="too_many_tries",
            headers={"retry-after": "3600"},
        )
    target = page_of_site(then)
    later = BackgroundTask(office.sign_in_mails.ask, email, source, lambda token: further(token, target))
    return redirect(request, sign_in_for(target), "link-requested", later=later)


@router.get("/sign-in/link")
async def show_link(
    request: Request,
    code: Annotated[str, Query(max_length=200)] = "",
    then: Annotated[str, Query(alias="next")] = "",
) -> Response:
    """Show the button of a link. Opening the page uses nothing up."""
    office: Office = request.app.state.office
    return _link_page(request, await office.sign_ins.find_link(code, utc_now()), code, then)


@router.post("/sign-in/link")
async def use_link(
    request: Request,
    code: Annotated[str, Form()] = "",
    then: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Use the link up, and open a session of its token. If no session can be opened now, the link stays."""
    office: Office = request.app.state.office
    found = await office.sign_ins.find_link(code, utc_now())
    if found is not None:
        introduce(request, found)
        await _end_earlier(request)
        if cookie := await office.sign_ins.open_by_link(code, utc_now()):
            return _signed_in(request, found, cookie, then)
    await slow_down(request)
    return _link_page(request, None, "", then)


def _form(request: Request, then: str, *, status: int = 200, wrong: bool = False) -> Response:
    mails = request.app.state.office.sign_in_mails is not None
    return render(request, "sign-in.html", status=status, next=page_of_site(then), wrong=wrong, mails=mails)


def _link_page(request: Request, token: Token | None, code: str, then: str) -> Response:
    return render(
        request,
        "sign-in-link.html",
        status=200 if token else 410,
        token=token,
        code=code,
        next=page_of_site(then),
        mails=request.app.state.office.sign_in_mails is not None,
        minutes=LINK_S // 60,
    )


async def _end_earlier(request: Request) -> None:
    """End the session whose cookie the request has: the answer takes or replaces it, and no sign-out could end it."""
    office: Office = request.app.state.office
    if text := session_text(request):
        await office.sign_ins.close(text)


def _signed_in(request: Request, found: Token, cookie: str, then: str) -> Response:
    """Return the answer that gives the cookie of a session of this token."""
    answer = RedirectResponse(page_for(found, then), 303)
    answer.set_cookie(
        cookie_name(request),
        cookie,
        max_age=SESSION_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session and delete its cookie."""
    await _end_earlier(request)
    answer = redirect(request, "/sign-in", "signed-out", signed_out=True)
    answer.delete_cookie(cookie_name(request), httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return answer
