"""The routes of `/runs`: list, one, its reported files, and to run a failed one again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from importer.model import INTEGER_MAX, ImportState
from server.runs.report import RunJson, run_json
from server.web.api.asking import BINARY, Asked, Before, Limit, Looking, Owning, Routes, listed
from server.web.api.refusals import LATER, LOOKING, OWNING, Responses, refuses
from server.web.api.runs import models
from server.web.api.waiting import LONGEST_S, run_at_its_end
from server.web.exports import send_report

router = Routes(prefix="/tenants/{tenant}/runs", tags=["runs"])

RunId = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The id of the run.", examples=[7])]
ReportName = Annotated[str, Path(description="The name that the hook gave to the file.", examples=["rejected.csv"])]
REPORT: Responses = {200: {"description": "The file.", "content": {"application/octet-stream": BINARY}}}
Hook = Annotated[str, Field(description="Only runs of the hook with this name.", examples=["invoices"])]


class RunsAsked(Asked):
    hook: Hook | None = None
    state: models.RunState | None = None
    limit: Limit = 50
    before: Before | None = None


class RunAsked(Asked):
    wait: int = Field(
        0,
        ge=0,
        le=LONGEST_S,
        description="Seconds to wait for a run that is queued or running. The answer comes as soon as it has ended.",
    )


@router.get("", response_model=models.Runs, responses=refuses(*LOOKING, "bad_request"), summary="List runs")
async def list_runs(
    visit: Looking, asked: Annotated[RunsAsked, Query()], request: Request, response: Response
) -> dict[str, Any]:
    """The runs of all hooks but `sync_users` of the tenant, newest first. The imports of users are at `/imports`."""
    runs = await visit.office.run_reader.page(
        visit.tenant,
        hook=asked.hook,
        state=ImportState(asked.state) if asked.state else None,
        limit=asked.limit + 1,
        before=asked.before,
    )
    shown = runs[: asked.limit]
    older = shown[-1].id if len(runs) > asked.limit else None
    return listed(request, response, "runs", [run_json(run) for run in shown], older, "before")


@router.get(
    "/{run_id}",
    response_model=models.Run,
    responses=refuses(*LOOKING, "unknown_run", "bad_request", "too_many_streams"),
    summary="Show a run",
)
async def show_run(visit: Looking, run_id: RunId, asked: Annotated[RunAsked, Query()], request: Request) -> RunJson:
    """The report of one run. While it is queued or running, ask with `wait`, or follow the events of the tenant.

    A request that waits counts as an event stream of the token.
    """
    return run_json(await run_at_its_end(request, visit, run_id, asked.wait))


@router.get(
    "/{run_id}/reports/{name:segment}",
    response_class=Response,
    responses={**REPORT, **refuses(*LOOKING, "unknown_run", "bad_request", "no_file")},
    summary="Download a file that the hook reported",
)
async def download_report(visit: Looking, run_id: RunId, name: ReportName, request: Request) -> Response:
    """The file that the hook reported under this name, byte by byte, as long as it is in `/results`."""
    return await send_report(request, visit, run_id, name)


@router.post(
    "/{run_id}/rerun",
    status_code=202,
    response_model=models.Run,
    responses=refuses(*OWNING, "unknown_run", "bad_request", "not_failed", "hook_off", "no_file", "no_hook", *LATER),
    summary="Run a failed file again",
)
async def rerun(visit: Owning, run_id: RunId) -> RunJson:
    """Queue a failed run after all others of its hook, with five new attempts; ask for it until it has ended."""
    return run_json(await visit.rerun(run_id))
