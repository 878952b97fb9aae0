"""`/sign-in`, `/sign-out`, and `/`, which redirects to the first page of the token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.tokens import Token
from ground.moments import utc_now
from server.tenants.sign_ins import SESSION_S
from server.web.access import Looking, cookie_name, introduce, session_of, slow_down
from server.web.office import Office
from server.web.pages.rendering import render

FORM_BYTES_MOST = 16 * 1024
"""The limit of a form from a client that is not known yet: it holds a token and the page to go to."""

router = APIRouter(max_body_size=FORM_BYTES_MOST)


@router.get("/")
async def home(visit: Looking) -> Response:
    return RedirectResponse(home_of(visit.token), 303)


@router.get("/sign-in")
async def ask(request: Request, then: Annotated[str, Query(alias="next")] = "") -> Response:
    token = await session_of(request)
    if token is not None:
        return RedirectResponse(_inside(then) or home_of(token), 303)
    return render(request, "sign-in.html", next=_inside(then), wrong=False)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    token: Annotated[str, Form()] = "",
    then: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Open a session for a valid token. For a wrong token, show the form again after a delay."""
    office: Office = request.app.state.office
    found = await office.tokens.find(token.strip(), utc_now())
    if found is None:
        await slow_down(request)
        return render(request, "sign-in.html", status=401, next=_inside(then), wrong=True)
    introduce(request, found)
    answer = RedirectResponse(_inside(then) or home_of(found), 303)
    answer.set_cookie(
        cookie_name(request),
        await office.sign_ins.open(found, utc_now()),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session and delete its cookie."""
    office: Office = request.app.state.office
    name = cookie_name(request)
    if text := request.cookies.get(name):
        await office.sign_ins.close(text)
    answer = RedirectResponse("/sign-in?done=signed-out", 303)
    answer.delete_cookie(name, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def home_of(token: Token) -> str:
    """Return the first page for this token."""
    return f"/tenants/{token.tenant}/imports" if token.tenant else "/tenants"


def _inside(target: str) -> str:
    """Return `target` if it is a page of this server, else "": a link to the form cannot redirect to another site."""
    fine = target.startswith("/") and target[1:2] not in {"/", "\\"} and target.isprintable()
    return target if fine else ""
