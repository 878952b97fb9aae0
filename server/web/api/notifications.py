"""`/notifications`: the newest mails and webhooks of a tenant, and a test of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from server.web.api import models
from server.web.api.asking import Asked, Limit, Looking, Owning, Routes
from server.web.api.refusals import LATER, LOOKING, OWNING, refuses

router = Routes(prefix="/tenants/{tenant}/notifications", tags=["notifications"])


class Notification(BaseModel):
    """A mail or webhook about an event."""

    id: int = Field(examples=[12])
    channel: Literal["mail", "webhook"]
    topic: str = Field(description="The event, once for each channel.", examples=["import 7 held"])
    state: Literal["waiting", "sent", "given_up", "dropped"] = Field(
        description="`dropped`: the tenant no longer wanted it."
    )
    attempts: models.Count = Field(examples=[1])
    error: str | None = Field(description="Why the newest attempt failed.")
    created_at: models.Moment
    finished_at: models.Moment | None


class Notifications(BaseModel):
    """Newest first; always one page."""

    notifications: list[Notification]
    next: None


class TestSent(BaseModel):
    """The addresses to which a test was queued."""

    told: list[str] = Field(examples=[["hr@acme.example"]])


class NotificationsAsked(Asked):
    limit: Limit = 100


@router.get("", response_model=Notifications, responses=refuses(*LOOKING), summary="List notifications")
async def list_notifications(visit: Looking, asked: Annotated[NotificationsAsked, Query()]) -> dict[str, Any]:
    """The newest mails and webhooks about imports, newest first. They are kept for 30 days after they were sent."""
    messages = await visit.office.outbox.newest(visit.tenant, asked.limit)
    return {"notifications": [message.to_json() for message in messages], "next": None}


@router.post(
    "/test",
    status_code=202,
    response_model=TestSent,
    responses=refuses(*OWNING, "no_notifications", "too_many_tests", *LATER),
    summary="Send a test notification",
)
async def test_notifications(visit: Owning) -> dict[str, Any]:
    """Queue a test notification to all addresses in `notify_email` and to `notify_webhook`.

    A tenant can be tested ten times an hour.
    """
    return {"told": await visit.send_test()}
