"""`/colleagues`: the tokens of a company, for its owners; `/operators`: those of operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import Response

from engine.tokens import Role, Token
from ground.moments import utc_now
from ground.words import as_sentence
from server.tenants.access.tokens import FormOutdated, is_last_owner
from server.tenants.settings import TenantRefused
from server.web.access import Operating, Owning, session_text
from server.web.forms_once import new_form
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render

router = APIRouter(max_body_size=FORM_BYTES_MOST)

COMPANY = "/tenants/{tenant}/colleagues"
OPERATORS = "/operators"
ROLES = {Role.OWNER: "Owner", Role.VIEWER: "Viewer", Role.OPERATOR: "Operator"}
FIELDS = {"role": "", "comment": "", "email": "", "expires": ""}
NOTHING: Mapping[str, str] = {}
ABOUT = {"bad_email": "email", "bad_expiry": "expires", "bad_role": "role", "last_owner": "role"}
"""The field that is wrong, by the code of a refusal. Other codes are about the name."""

NAMES = {"comment": "name", "role": "role", "email": "email address"}
"""The fields of the form that changes a token, as its sentences call them."""

Number = Annotated[int, Form()]
Text = Annotated[str, Form()]


async def _shown(request: Request) -> Mapping[str, str]:
    """Return the values that the form showed before the user typed, by field. One that was not sent is left out."""
    form = await request.form()  # not by parameters: for FastAPI, an empty value is one that was not sent
    sent = {name: form.get(f"shown_{name}") for name in NAMES}
    return {name: value for name, value in sent.items() if isinstance(value, str)}


Shown = Annotated[Mapping[str, str], Depends(_shown)]


@dataclass(frozen=True, slots=True)
class Edited:
    """The form of the token `number` as it is shown again: with the errors by field.

    `shown` are the values that the next save compares with those that are stored; missing ones are as stored.
    """

    number: int
    typed: Mapping[str, str]
    shown: Mapping[str, str]
    wrong: Mapping[str, str]


@router.get(COMPANY)
async def list_colleagues(request: Request, visit: Owning) -> Response:
    return await _page(request, visit)


@router.post(COMPANY)
async def add_colleague(
    request: Request,
    visit: Owning,
    role: Text = "",
    comment: Text = "",
    email: Text = "",
    expires: Text = "",
    form: Text = "",
) -> Response:
    """Create a token of the company and show it, this once. If it is refused, show the form with the error."""
    return await _add(request, visit, {"role": role, "comment": comment, "email": email, "expires": expires}, form)


@router.post(f"{COMPANY}/change")
async def change_colleague(
    request: Request,
    visit: Owning,
    shown: Shown,
    number: Number = 0,
    role: Text = "",
    comment: Text = "",
    email: Text = "",
) -> Response:
    """Change the facts of a token that are not as shown. If that is refused, show its form with the error."""
    return await _change(request, visit, number, {"role": role, "comment": comment, "email": email}, shown)


@router.post(f"{COMPANY}/revoke")
async def revoke_colleague(request: Request, visit: Owning, number: Number = 0) -> Response:
    """Revoke a token; its sessions on the page end at once."""
    return await _revoke(request, visit, number)


@router.get(OPERATORS)
async def list_operators(request: Request, visit: Operating) -> Response:
    return await _page(request, visit)


@router.post(OPERATORS)
async def add_operator(
    request: Request, visit: Operating, comment: Text = "", email: Text = "", expires: Text = "", form: Text = ""
) -> Response:
    """Create a token of an operator and show it, this once."""
    typed = {"role": "operator", "comment": comment, "email": email, "expires": expires}
    return await _add(request, visit, typed, form)


@router.post(f"{OPERATORS}/change")
async def change_operator(
    request: Request, visit: Operating, shown: Shown, number: Number = 0, comment: Text = "", email: Text = ""
) -> Response:
    return await _change(request, visit, number, {"role": "operator", "comment": comment, "email": email}, shown)


@router.post(f"{OPERATORS}/revoke")
async def revoke_operator(request: Request, visit: Operating, number: Number = 0) -> Response:
    return await _revoke(request, visit, number)


async def _add(request: Request, visit: Visit, typed: Mapping[str, str], form: str) -> Response:
    """Create a token, unless the form of this number was sent before: by a reload, or a second click."""
    if not visit.office.forms.is_first(visit.token.id, form):
        return await _page(request, visit, repeated=True)
    expires = typed["expires"].strip() or None
    try:
        role = _role(visit, typed["role"])
        made = await visit.create_token(_whose(visit), role, expires, typed["comment"], typed["email"])
    except TenantRefused as error:
        wrong = {ABOUT.get(error.code, "comment"): as_sentence(error.message)}
        return await _page(request, visit, typed, wrong, status=as_http_problem(error).status)
    return await _page(request, visit, made=made)


def _role(visit: Visit, chosen: str) -> Role:
    """Return the chosen role. Raises TenantRefused if it is not one that may be given here."""
    allowed = (Role.OWNER, Role.VIEWER) if visit.tenant else (Role.OPERATOR,)
    for role in allowed:
        if role.value == chosen:
            return role
    raise TenantRefused("bad_role", "choose a role: owner or viewer")


async def _change(
    request: Request, visit: Visit, number: int, typed: Mapping[str, str], shown: Mapping[str, str]
) -> Response:
    try:
        role = _role(visit, typed["role"])
        changed = await visit.change_token(
            *(_whose(visit), number),
            comment=typed["comment"],
            role=role,
            email=typed["email"],
            session=session_text(request),
            shown={name: value or None if name == "email" else value for name, value in shown.items()},
        )
    except FormOutdated as error:
        return await _page(request, visit, edited=_merged(error, typed), status=409)
    except TenantRefused as error:
        if error.code == "unknown_token":
            raise
        wrong = {ABOUT.get(error.code, "comment"): as_sentence(error.message)}
        edited = Edited(number, typed, shown, wrong)
        return await _page(request, visit, edited=edited, status=as_http_problem(error).status)
    if number == visit.token.id and changed.role is Role.VIEWER:
        return redirect(request, f"/tenants/{visit.tenant}/imports", "token-changed")
    return _back(request, visit, "token-changed")


def _merged(error: FormOutdated, typed: Mapping[str, str]) -> Edited:
    """Return the form with the changes of its user, and the newer values of all other fields. Pure."""
    now = _fields(error.now)
    wrong = {name: _changed_meanwhile(name, now[name]) for name in error.overwritten}
    return Edited(error.now.id, {**now, **{name: typed[name] for name in error.changed}}, now, wrong)


def _changed_meanwhile(name: str, now: str) -> str:
    to = f"changed to “{ROLES[Role(now)] if name == 'role' else now}”" if now else "was removed"
    return f"The {NAMES[name]} {to} while this form was open. Nothing was saved. Check it and save again."


def _fields(token: Token) -> Mapping[str, str]:
    """Return the values of the form that changes a token."""
    return {"role": token.role.value, "comment": token.comment, "email": token.email or ""}


async def _revoke(request: Request, visit: Visit, number: int) -> Response:
    await visit.revoke_token(_whose(visit), number)
    return _back(request, visit, "token-revoked")


async def _page(
    request: Request,
    visit: Visit,
    typed: Mapping[str, str] = FIELDS,
    wrong: Mapping[str, str] = NOTHING,
    status: int = 200,
    made: tuple[Token, str] | None = None,
    edited: Edited | None = None,
    *,
    repeated: bool = False,
) -> Response:
    now = utc_now()
    tokens = await visit.office.tokens.of(_whose(visit))
    kept = {
        token.id
        for token in tokens
        if not visit.is_operator and is_last_owner(token, [each for each in tokens if each is not token], now)
    }
    return render(
        request,
        "colleagues.html",
        visit,
        status=status,
        here=_here(visit),
        tokens=[(token, token.is_valid(now), token.id in kept) for token in tokens],
        fields_of=_fields,
        roles=ROLES,
        typed=typed,
        wrong=wrong,
        made=made,
        edited=edited,
        repeated=repeated,
        form=new_form(),
        mails=visit.office.sign_in_mails is not None,
        today=f"{now:%Y-%m-%d}",
    )


def _whose(visit: Visit) -> str | None:
    """Return the company of the page; None for the page of operators."""
    return visit.tenant or None


def _here(visit: Visit) -> str:
    return COMPANY.format(tenant=visit.tenant) if visit.tenant else OPERATORS


def _back(request: Request, visit: Visit, done: str) -> Response:
    return redirect(request, _here(visit), done)
