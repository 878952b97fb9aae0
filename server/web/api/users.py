"""`/users`: the users of a tenant, one user and its history, and downloads of all users."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from importer.users.directory import ShownUser, Wanted
from server.web.api import models
from server.web.api.asking import BINARY, After, Asked, Before, Limit, Looking, Owning, Routes, listed
from server.web.api.refusals import LATER, LOOKING, OWNING, Responses, refuses
from server.web.exports import JSON_LINES, send_users_csv, send_users_json_lines
from server.web.http_problem import HttpProblem
from server.web.office import Visit

router = Routes(prefix="/tenants/{tenant}", tags=["users"])

Identifier = Annotated[
    str,
    Path(
        description="The email address, or the custom identifier; percent-encoded, including any `/`.",
        examples=["ann@example.com"],
    ),
]
ONE = refuses(*LOOKING, "no_user", "bad_request")


class UsersAsked(Asked):
    search: str = Field(
        "", max_length=255, description="Beginnings of words in the name, email address or identifier."
    )
    state: models.UserState | None = None
    team: str | None = Field(None, max_length=255, description="The name of a primary or secondary team.")
    location: str | None = Field(None, max_length=255, description="The name of a location.")
    protected: bool | None = None
    limit: Limit = 100
    after: After = 0


class HistoryAsked(Asked):
    before: Before | None = None
    limit: Limit = 100


def _file(media_type: str) -> Responses:
    sent = {"description": "All users, sent while they are read.", "content": {media_type: BINARY}}
    return {200: sent, **refuses(*LOOKING)}


@router.get("/users", response_model=models.Users, responses=refuses(*LOOKING, "bad_request"), summary="List users")
async def list_users(
    visit: Looking, asked: Annotated[UsersAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The users of the tenant, deactivated ones included, in the order in which they were created."""
    wanted = Wanted(asked.search, asked.state, asked.team, asked.location, asked.protected)
    async with visit.directory() as directory:
        users, following = await directory.page(wanted, limit=asked.limit, after=asked.after)
    return listed(request, response, "users", users, following, "after")


@router.get("/users.csv", response_class=Response, responses=_file("text/csv"), summary="Download users as CSV")
async def download_csv(visit: Looking, request: Request) -> Response:
    """All users as a valid `sync_users.csv`, in the format of the settings: importing it changes no user."""
    return await send_users_csv(request, visit)


@router.get(
    "/users.jsonl", response_class=Response, responses=_file(JSON_LINES), summary="Download users as JSON lines"
)
async def download_json_lines(visit: Looking, request: Request) -> Response:
    """All users, one JSON object a line, each as in `/users`."""
    return await send_users_json_lines(request, visit)


@router.get("/users/{identifier:segment}", response_model=models.User, responses=ONE, summary="Show a user")
async def show_user(visit: Looking, identifier: Identifier) -> ShownUser:
    """One user, by identifier."""
    return await _user(visit, identifier)


@router.put(
    "/users/{identifier:segment}/protection",
    response_model=models.User,
    responses=refuses(*OWNING, "no_user", "bad_request", *LATER),
    summary="Protect a user",
)
async def protect_user(visit: Owning, identifier: Identifier) -> ShownUser:
    """Protect a user: imports never deactivate it."""
    await _protect(visit, identifier, protected=True)
    return await _user(visit, identifier)


@router.delete(
    "/users/{identifier:segment}/protection",
    status_code=204,
    responses=refuses(*OWNING, "no_user", "bad_request", *LATER),
    summary="End the protection of a user",
)
async def unprotect_user(visit: Owning, identifier: Identifier) -> None:
    """End the protection of a user: imports may deactivate it."""
    await _protect(visit, identifier, protected=False)


@router.get(
    "/users/{identifier:segment}/history",
    response_model=models.Changes,
    responses=ONE,
    summary="List a user's changes",
)
async def list_user_history(
    visit: Looking,
    identifier: Identifier,
    asked: Annotated[HistoryAsked, Query()],
    request: Request,
    response: Response,
) -> dict[str, Any]:
    """The changes that imports and undos made to one user, newest first."""
    await _user(visit, identifier)
    async with visit.history() as history:
        changes, older = await history.newest_of_user(identifier, asked.limit, asked.before)
    return listed(request, response, "changes", changes, older, "before")


async def _user(visit: Visit, identifier: str) -> ShownUser:
    async with visit.directory() as directory:
        user = await directory.get(identifier)
    if user is None:
        raise _no_user(visit, identifier)
    return user


async def _protect(visit: Visit, identifier: str, *, protected: bool) -> None:
    if not await visit.protect(identifier, protected=protected):
        raise _no_user(visit, identifier)


def _no_user(visit: Visit, identifier: str) -> HttpProblem:
    return HttpProblem(404, f"There is no user “{identifier}” in {visit.tenant}.", code="no_user")
