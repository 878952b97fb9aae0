"""`/changes`: the changes of all imports in order, for an application that follows them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from server.web.api import models
from server.web.api.asking import After, Asked, Limit, Looking, Routes, listed
from server.web.api.refusals import LOOKING, refuses

router = Routes(prefix="/tenants/{tenant}/changes", tags=["users"])


class FollowedChange(models.AnyChange):
    """A change of one field of one user, or the creation of a user."""

    field: str | None = Field(
        description="Null: the user was created, or with `undo` the creation was undone; there are no values.",
        examples=["job_title"],
    )


class FollowedChanges(BaseModel):
    """Oldest first."""

    changes: list[FollowedChange]
    next: int = Field(description="Never null: the `after` of the next request.", examples=[31])


class FollowingAsked(Asked):
    after: After = 0
    limit: Limit = 100


@router.get(
    "",
    response_model=FollowedChanges,
    responses=refuses(*LOOKING, "bad_request", "changes_gone"),
    summary="Follow changes of users",
)
async def follow_changes(
    visit: Looking, asked: Annotated[FollowingAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The changes of users by all imports and undos, in the order in which they were made.

    `next` is never null: ask again with it to get the changes made since. A creation is one entry without values, and
    its `field` is null: read the user. 410 means that changes after `after` are no longer kept. Then read `/users`
    again, and follow from the `next` of that answer.
    """
    async with visit.history() as history:
        changes, following = await history.following(asked.after, asked.limit)
    return listed(request, response, "changes", changes, following, "after")
