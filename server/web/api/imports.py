"""`/imports`: the imports of uploaded files, and the decisions about held ones."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import AfterValidator, Field

from ground.moments import from_rfc3339, rfc3339
from importer.advice.kept import report_of
from importer.messages.spool import messages_in, touched_in
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.report import ReportJson
from server.web.api import models
from server.web.api.asking import BINARY, After, Asked, Before, ImportId, Limit, Looking, Owning, Routes, listed
from server.web.api.refusals import DECIDING, LOOKING, Responses, refuses
from server.web.api.waiting import LONGEST_S, import_at_its_end
from server.web.exports import send_rejected_rows, send_touched, send_uploaded_file
from server.web.office import Visit

router = Routes(prefix="/tenants/{tenant}/imports", tags=["imports"])

CSV: Responses = {200: {"description": "The file.", "content": {"text/csv": BINARY}}}
ONE = refuses(*LOOKING, "unknown_import", "bad_request")
FILE = {**CSV, **refuses(*LOOKING, "unknown_import", "bad_request", "no_file")}
SHA256 = "Only imports of a file with this SHA-256, in hexadecimal. It is known once the file was read."
HEX = "^[0-9a-fA-F]{64}$"
MOMENT: dict[str, Any] = {"format": "date-time", "examples": ["2026-03-02T06:00:04.120Z"]}
DECISION = "The report records the name of your token in `decided_by`."


def _in_utc(text: str) -> str:
    """Return a time of RFC 3339 as the times of imports are stored. Raises ValueError."""
    try:
        moment = from_rfc3339(text)
        if moment.tzinfo is None:
            raise ValueError(text)
        return rfc3339(moment)
    except (ValueError, OverflowError):
        raise ValueError("must be a time in RFC 3339, such as 2026-03-02T06:00:04Z") from None


Since = Annotated[
    str,
    AfterValidator(_in_utc),
    Field(description="Only imports uploaded at this time (RFC 3339) or later.", json_schema_extra=MOMENT),
]


class ImportsAsked(Asked):
    state: models.State | None = None
    sha256: Annotated[str, AfterValidator(str.lower), Field(description=SHA256, pattern=HEX)] | None = None
    since: Since | None = None
    dry_run: Annotated[Literal["true", "false"], Field(description="Only dry runs, or none.")] | None = None
    limit: Limit = 50
    before: Before | None = None


class ImportAsked(Asked):
    wait: int = Field(
        0,
        ge=0,
        le=LONGEST_S,
        description="Seconds to wait for an import that is queued or running. The answer comes as soon as the import"
        " has ended or is held.",
    )


class MessagesAsked(Asked):
    severity: models.Severity | None = None
    code: str | None = None
    after: After = 0
    limit: Limit = 100


class TouchedAsked(Asked):
    action: models.Action | None = None
    after: After = 0
    limit: Limit = 100


class ChangesAsked(Asked):
    after: After = 0
    limit: Limit = 100


async def _report(visit: Visit, entry: Entry) -> ReportJson:
    return (await report_of(visit.archive, visit.folder, entry)).to_json()


@router.get("", response_model=models.Imports, responses=refuses(*LOOKING, "bad_request"), summary="List imports")
async def list_imports(
    visit: Looking, asked: Annotated[ImportsAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The imports of the tenant, newest first, without their messages. Dry runs are included."""
    entries = await visit.office.reader.page(
        visit.tenant,
        state=ImportState(asked.state) if asked.state else None,
        limit=asked.limit + 1,
        before=asked.before,
        messages=False,
        dry_run=None if asked.dry_run is None else asked.dry_run == "true",
        sha256=asked.sha256,
        since=asked.since,
    )
    shown = entries[: asked.limit]
    older = shown[-1].id if len(entries) > asked.limit else None
    reports = [entry.report().to_json() for entry in shown]
    return listed(request, response, "imports", reports, older, "before")


@router.get(
    "/{import_id}",
    response_model=models.Report,
    responses=refuses(*LOOKING, "unknown_import", "bad_request", "too_many_streams"),
    summary="Show an import",
)
async def show_import(
    visit: Looking, import_id: ImportId, asked: Annotated[ImportAsked, Query()], request: Request
) -> ReportJson:
    """The report of one import. While it is queued or running, ask with `wait`, or follow the events of the tenant.

    A request that waits counts as an event stream of the token.
    """
    return await _report(visit, await import_at_its_end(request, visit, import_id, asked.wait))


@router.get("/{import_id}/messages", response_model=models.Messages, responses=ONE, summary="List messages")
async def list_messages(
    visit: Looking,
    import_id: ImportId,
    asked: Annotated[MessagesAsked, Query()],
    request: Request,
    response: Response,
) -> dict[str, Any]:
    """The first 10,000 messages of the import. `errors.csv` has all rejected rows."""
    await visit.entry(import_id)
    file = await visit.file(visit.folder.said(import_id))
    messages, following = await asyncio.to_thread(
        messages_in, file, severity=asked.severity, code=asked.code, after=asked.after, limit=asked.limit
    )
    return listed(request, response, "messages", messages, following, "after")


@router.get("/{import_id}/touched", response_model=models.TouchedUsers, responses=ONE, summary="List affected users")
async def list_touched(
    visit: Looking, import_id: ImportId, asked: Annotated[TouchedAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The users that a held import or a dry run would change, and how. For an applied import, see its changes."""
    await visit.entry(import_id)
    file = await visit.file(visit.folder.touched(import_id))
    touched, following = await asyncio.to_thread(
        touched_in, file, action=asked.action, after=asked.after, limit=asked.limit
    )
    return listed(request, response, "touched", touched, following, "after")


@router.get(
    "/{import_id}/touched.csv", response_class=Response, responses=FILE, summary="Download the affected users"
)
async def download_touched(visit: Looking, import_id: ImportId, request: Request) -> Response:
    """The users that a held import or a dry run would change, as CSV.

    The columns are `identifier`, `name`, `email`, `action` and `line`. `line` is that of the user's row, and blank if
    no row has the user. The list is kept when a held import is discarded or superseded.
    """
    return await send_touched(request, visit, import_id)


@router.get("/{import_id}/changes", response_model=models.Changes, responses=ONE, summary="List changes")
async def list_changes(
    visit: Looking, import_id: ImportId, asked: Annotated[ChangesAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The changes of the import (user, field, old and new value), in the order in which they were made.

    After an undo, its changes are listed too.
    """
    await visit.entry(import_id)
    async with visit.history() as history:
        changes, following = await history.page_of_import(import_id, asked.after, asked.limit)
    return listed(request, response, "changes", changes, following, "after")


@router.get("/{import_id}/errors.csv", response_class=Response, responses=FILE, summary="Download the rejected rows")
async def download_errors(visit: Looking, import_id: ImportId, request: Request) -> Response:
    """The rejected rows as uploaded, with `_line`, `_code` and `_message` added: fix them and send the file."""
    return await send_rejected_rows(request, visit, import_id)


@router.get("/{import_id}/file", response_class=Response, responses=FILE, summary="Download the uploaded file")
async def download_file(visit: Looking, import_id: ImportId, request: Request) -> Response:
    """The uploaded file, byte by byte, as long as it is kept."""
    return await send_uploaded_file(request, visit, import_id)


@router.post(
    "/{import_id}/approve",
    status_code=202,
    response_model=models.Report,
    responses=refuses(*DECIDING, "not_held", "held_again"),
    summary="Approve a held import",
    description="The import is queued; ask for its report until it has ended. It is held again if it would deactivate"
    f" a user who is not on its list (`/touched`), or for a new reason. {DECISION}",
)
async def approve_import(visit: Owning, import_id: ImportId) -> ReportJson:
    held = await visit.entry(import_id)
    entry = await visit.approve(held)
    return await _report(visit, entry)


@router.post(
    "/{import_id}/discard",
    response_model=models.Report,
    responses=refuses(*DECIDING, "not_held"),
    summary="Discard a held import",
    description=f"The import is never applied. {DECISION}",
)
async def discard_import(visit: Owning, import_id: ImportId) -> ReportJson:
    entry = await visit.office.queue.discard(visit.tenant, import_id, by=visit.token.bearer)
    return await _report(visit, entry)


@router.post(
    "/{import_id}/undo",
    status_code=202,
    response_model=models.Report,
    responses=refuses(*DECIDING, "nothing_to_undo", "not_applied", "not_newest", "import_waits"),
    summary="Undo an applied import",
    description="The users are set back as they were before the newest applied import; then the one before it can be"
    " undone. The undo is queued; ask for the report until it is `undone`. A field that changed after the import"
    f" keeps its value and is reported. {DECISION}",
)
async def undo_import(visit: Owning, import_id: ImportId) -> ReportJson:
    pause = await visit.pause()
    entry = await visit.office.queue.undo(visit.tenant, import_id, by=visit.token.bearer, pause=pause)
    return await _report(visit, entry)
