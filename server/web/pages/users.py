"""The list of a tenant's users, and the page of one user with its history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from importer.model import INTEGER_MAX
from importer.rules.identity import Identity, identity_of
from importer.rules.settings import ImportSettings
from importer.users.directory import Directory
from server.web.access import Looking
from server.web.exports import send_users_csv, send_users_json_lines
from server.web.http_problem import HttpProblem
from server.web.office import Visit
from server.web.pages.rendering import render
from server.web.pages.words import labels_of

router = APIRouter(prefix="/tenants/{tenant}")

Asked = Annotated[int, Query(ge=0, le=INTEGER_MAX)]

PAGE = 50
REPORTS = 100
"""The most reports of a manager, and of a coach, that the page of a user names."""


@router.get("/users")
async def list_users(
    request: Request,
    visit: Looking,
    search: Annotated[str, Query(max_length=255)] = "",
    state: Literal["active", "deactivated", ""] = "",
    after: Asked = 0,
) -> Response:
    search = search.strip()
    async with _users_of(visit) as (settings, identity, directory):
        found, more = await directory.page(search=search, state=state or None, limit=PAGE, after=after)
        counts = await directory.count_by_state()
    asked = {name: text for name, text in (("search", search), ("state", state)) if text}
    return render(
        request,
        "users.html",
        visit,
        users=[(user, identity.of(user)) for user in found],
        identifier=labels_of(settings.custom_fields)[settings.identifier] if identity.custom else None,
        counts=counts,
        search=search,
        state=state,
        first=f"?{urlencode(asked)}" if after else None,
        next=f"?{urlencode({**asked, 'after': more})}" if more else None,
    )


@router.get("/users/{identifier:segment}")
async def show_user(request: Request, visit: Looking, identifier: str, before: Asked | None = None) -> Response:
    async with _users_of(visit) as (settings, identity, directory):
        user = await directory.get(identifier)
        if user is None:
            raise HttpProblem(404, f"There is no user “{identifier}” in this company.", code="unknown_user")
        reports = await directory.reports(identifier, REPORTS + 1)
        links = {link: await _linked(directory, user[link]) for link in ("manager", "coach")}
    async with visit.users.history(identity) as history:
        changes, more = await history.newest_of_user(identifier, PAGE, before)
    return render(
        request,
        "user.html",
        visit,
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
async def download_csv(request: Request, visit: Looking) -> Response:
    """Send all users as a file that could be uploaded."""
    return await send_users_csv(request, visit)


@router.get("/users.jsonl")
async def download_json_lines(request: Request, visit: Looking) -> Response:
    return await send_users_json_lines(request, visit)


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
