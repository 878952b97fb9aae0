"""`POST /imports?dry_run=true`: tests a file. Only files that arrive over SFTP are imported."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from importer.report import ReportJson
from server.web.api import models
from server.web.api.asking import BINARY, Asked, Owning, Routes, media_type_of, unsupported
from server.web.api.refusals import LATER, OWNING, refuses

router = Routes(prefix="/tenants/{tenant}/imports", tags=["imports"])

TYPES = ("text/csv", "application/octet-stream")


class TrialAsked(Asked):
    dry_run: Annotated[Literal["true"], Field(description="Must be `true`: over HTTP a file can only be tested.")]
    name: str = Field("sync_users.csv", min_length=1, max_length=255, description="The name of the file.")


@router.post(
    "",
    status_code=202,
    response_model=models.Report,
    responses={
        202: {"headers": {"Location": {"description": "The path of the report.", "schema": {"type": "string"}}}},
        **refuses(
            *OWNING,
            *("bad_request", "unsupported_type", "upload_stalled", "too_many_trials", "too_many_waiting"),
            *("file_too_large", "quota_exceeded", *LATER),
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": dict.fromkeys(TYPES, BINARY),
        }
    },
    summary="Test a file",
)
async def try_file(
    visit: Owning, asked: Annotated[TrialAsked, Query()], request: Request, response: Response
) -> ReportJson:
    """A dry run of the file in the body: its report says what an import would do, and nothing is changed.

    The report is `queued` at first; `Location` is its path. `/touched` lists the users that it would change.
    """
    if media_type_of(request) not in TYPES:
        raise unsupported(TYPES)
    office = visit.office
    import_id = await office.trials.of_file(visit.tenant, asked.name, request.stream(), visit.token.bearer)
    entry = await office.queue.require(visit.tenant, import_id)
    response.headers["location"] = f"/api/v1/tenants/{visit.tenant}/imports/{import_id}"
    return entry.report().to_json()
