"""The webhooks in the OpenAPI document: the requests that the server sends to `notify_webhook`.

Its models describe what server/notify writes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from server.web.api.models import Count, Moment, Report
from server.web.api.runs.models import Run


class Leaver(BaseModel):
    """A user that a held import would deactivate."""

    identifier: str | None = Field(examples=["ann@example.com"])
    email: str | None = Field(examples=["ann@example.com"])
    name: str = Field(examples=["Ann Smith"])


class ReportedImport(Report):
    """The report of the import."""

    would_deactivate: list[Leaver] = Field([], description="The first 20 users that a held import would deactivate.")


class ImportEvent(BaseModel):
    """An import ended or is held, or an upload was interrupted."""

    type: Literal[
        "import.completed", "import.completed_with_errors", "import.held", "import.failed", "upload.aborted"
    ]
    timestamp: Moment
    data: ReportedImport


class ReportedRun(Run):
    """The report of the run."""

    tenant: str = Field(examples=["acme"])


class RunEvent(BaseModel):
    """A run of a hook ended, or an upload to a hook was refused or interrupted."""

    type: Literal["run.completed", "run.completed_with_errors", "run.failed", "run.aborted"]
    timestamp: Moment
    data: ReportedRun


class StaleFeed(BaseModel):
    """A feed that is stale."""

    tenant: str = Field(examples=["acme"])
    stale_after_days: int = Field(examples=[3])
    last_applied_at: Moment | None


class StaleEvent(BaseModel):
    """No file was applied for `stale_after_days` days."""

    type: Literal["feed.stale"]
    timestamp: Moment
    data: StaleFeed


class EndingPause(BaseModel):
    """A pause that ends within a day."""

    tenant: str = Field(examples=["acme"])
    paused_until: Moment
    paused_because: str | None = Field(examples=["The HR system moves"])
    waiting: Count = Field(description="The files that wait for the end of the pause.", examples=[2])


class PauseEvent(BaseModel):
    """A pause of more than a day ends within a day."""

    type: Literal["feed.paused_ending"]
    timestamp: Moment
    data: EndingPause


class TestedTenant(BaseModel):
    """The tenant whose notifications are tested."""

    tenant: str = Field(examples=["acme"])


class TestEvent(BaseModel):
    """A test of the notifications."""

    type: Literal["test"]
    timestamp: Moment
    data: TestedTenant


MODELS: tuple[type[BaseModel], ...] = (ImportEvent, RunEvent, StaleEvent, PauseEvent, TestEvent)

HEADERS = {
    "webhook-id": ("The id of the message, the same for every attempt.", "msg_5f2b8c0d9e1a4b37"),
    "webhook-timestamp": ("The time of the attempt, in seconds since 1970.", "1772431204"),
    "webhook-signature": (
        "`v1,` and the HMAC-SHA256 of id, timestamp and body, joined by full stops, in base64.",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
}
"""The headers of Standard Webhooks, each with its description and an example."""


def webhooks() -> dict[str, Any]:
    """Return the `webhooks` of the document, by event."""
    return {event: {"post": _operation(event, model)} for model in MODELS for event in events_of(model)}


def events_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the events that a model describes."""
    return get_args(model.model_fields["type"].annotation)


def _operation(event: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "operationId": f"on_{event.replace('.', '_')}",
        "summary": f"Receive {event}",
        "description": f"{model.__doc__} The request follows Standard Webhooks.",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "examples": {"one": {"value": example}},
            }
            for name, (description, example) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
        },
        "responses": {
            "2XX": {"description": "The receiver has the message."},
            "410": {"description": "The receiver will never accept it: it is not sent again."},
            "default": {"description": "The message is sent again later."},
        },
    }
