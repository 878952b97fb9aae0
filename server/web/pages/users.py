"""The list of a tenant's users, and the page of one user with its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from importer.errors import TryAgain
from importer.model import INTEGER_MAX
from importer.rules.identity import Identity, identity_of
from importer.rules.settings import ImportSettings
from importer.users.directory import Directory
from server.web.access import Looking, Owning
from server.web.exports import send_users_csv, send_users_json_lines
from server.web.http_problem import HttpProblem, as_http_problem
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.user_lists import NAMES, SORTED_MOST, SORTS, UsersAsked, list_of, menu_of
from server.web.pages.words import labels_of
from server.web.segments import segment

router = APIRouter(prefix="/tenants/{tenant}", max_body_size=FORM_BYTES_MOST)

Before = Annotated[int, Query(ge=0, le=INTEGER_MAX)]
Wished = Annotated[UsersAsked, Query()]

PAGE = 50
REPORTS = 100
"""The most reports of a manager, and of a coach, that the page of a user names."""


@router.get("/users")
async def list_users(request: Request, visit: Looking, asked: Wished) -> Response:
    async with _users_of(visit) as (settings, identity, directory):
        listed = await list_of(directory, asked)
        counts = await directory.count_by_state()
        teams, locations = await directory.names(NAMES + 1)
    return render(
        request,
        "users.html",
        visit,
        users=[(user, identity.of(user)) for user in listed.users],
        identifier=labels_of(settings.custom_fields)[settings.identifier] if identity.custom else None,
        counts=counts,
        asked=asked,
        listed=listed,
        total=listed.total if listed.total is not None else asked.total_of(counts),
        most=SORTED_MOST,
        sorts=SORTS,
        menus={"team": menu_of(teams, asked.team), "location": menu_of(locations, asked.location)},
    )


@router.get("/users/{identifier:segment}")
async def show_user(request: Request, visit: Looking, identifier: str, before: Before | None = None) -> Response:
    return await _shown(request, visit, identifier, before)


@router.post("/users/{identifier:segment}/protection")
async def protect_user(
    request: Request, visit: Owning, identifier: str, protected: Annotated[bool, Form()]
) -> Response:
    """Protect a user from deactivation, or end that. While an import writes, show the user with the reason."""
    try:
        if not await visit.protect(identifier, protected=protected):
            raise _unknown(identifier)
    except TryAgain as error:
        return await _shown(request, visit, identifier, problem=as_http_problem(error))
    here = f"/tenants/{visit.tenant}/users/{segment(identifier)}"
    return redirect(request, here, "user-protected" if protected else "user-unprotected")


async def _shown(
    request: Request, visit: Visit, identifier: str, before: int | None = None, problem: HttpProblem | None = None
) -> Response:
    async with _users_of(visit) as (settings, identity, directory):
        user = await directory.get(identifier)
        if user is None:
            raise _unknown(identifier)
        reports = await directory.reports(identifier, REPORTS + 1)
        links = {link: await _linked(directory, user[link]) for link in ("manager", "coach")}
    async with visit.users.history(identity) as history:
        changes, more = await history.newest_of_user(identifier, PAGE, before)
    return render(
        request,
        "user.html",
        visit,
        status=problem.status if problem else 200,
        problem=problem,
        user=user,
        identifier=identifier,
        links=links,
        reports=reports,
        most=REPORTS,
        custom=_custom(settings, user["custom"]),
        labels=labels_of(settings.custom_fields),
        events=[list(event) for _, event in groupby(changes, lambda each: (each["import_id"], each["undo"]))],
        first=before is not None,
        next=f"?before={more}" if more else None,
    )


@router.get("/users.csv")
async def download_csv(request: Request, visit: Looking, asked: Wished) -> Response:
    """Send the users of the filter. Without one, the file has all users and could be uploaded."""
    return await send_users_csv(request, visit, asked.wanted)


@router.get("/users.jsonl")
async def download_json_lines(request: Request, visit: Looking, asked: Wished) -> Response:
    return await send_users_json_lines(request, visit, asked.wanted)


def _unknown(identifier: str) -> HttpProblem:
    return HttpProblem(404, f"There is no user “{identifier}” in this company.", code="unknown_user")


@asynccontextmanager
async def _users_of(visit: Visit) -> AsyncIterator[tuple[ImportSettings, Identity, Directory]]:
    settings = await visit.settings()
    identity = identity_of(settings)
    async with visit.users.directory(identity) as directory:
        yield settings, identity, directory


async def _linked(directory: Directory, identifier: str | None) -> dict[str, Any] | None:
    """Return the user that a link names: identifier, and name and state if the user is found."""
    if identifier is None:
        return None
    user = await directory.get(identifier)
    name = f"{user['first_name']} {user['last_name']}" if user else None
    return {"identifier": identifier, "name": name, "state": user["state"] if user else None}


def _custom(settings: ImportSettings, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return a user's custom fields with their labels, in the order of the settings; former fields come last."""
    labels = {field.key: field.label or field.key for field in settings.custom_fields}
    return [(labels.get(key, key), values.get(key)) for key in dict.fromkeys([*labels, *values])]
