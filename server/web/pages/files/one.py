"""The page of one run: its outcome and messages, and its files to download. An owner runs a failed one again."""

from __future__ import annotations

import json

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine.runs import why_not_rerun
from ground.moments import utc_now
from ground.refusals import Refusal
from server.runs.ends import ATTEMPTS
from server.runs.report import run_json
from server.runs.reported import report_names
from server.web.access import Looking, Owning
from server.web.downloads import disposition, file_download
from server.web.exports import send_report
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.files.page import moves_soon
from server.web.pages.files.sentences import STATES, sentence
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render

router = APIRouter(prefix="/tenants/{tenant}/files/{run_id:number}", max_body_size=FORM_BYTES_MOST)


@router.get("")
async def show_file(request: Request, visit: Looking, run_id: int) -> Response:
    return await _shown(request, visit, run_id)


@router.post("/run-again")
async def run_again(request: Request, visit: Owning, run_id: int) -> Response:
    """Queue a failed run again; if that is refused, show its page with the reason."""
    await visit.run(run_id)
    try:
        await visit.rerun(run_id)
    except Refusal as error:
        return await _shown(request, visit, run_id, refused=error)
    return redirect(request, f"/tenants/{visit.tenant}/files/{run_id}", "run-again")


@router.get("/report.json")
async def download_json(visit: Looking, run_id: int) -> Response:
    """Send the report, as it is in /results."""
    run = await visit.run(run_id)
    text = json.dumps(run_json(run), ensure_ascii=False, indent=2) + "\n"
    headers = {"content-disposition": disposition(f"{run.hook}-{run.id}.json")}
    return Response(text, media_type="application/json", headers=headers)


@router.get("/file")
async def download_file(request: Request, visit: Looking, run_id: int) -> Response:
    """Send the uploaded file, as long as it is kept."""
    run = await visit.run(run_id)
    copy = await visit.file(visit.folder.run_copy(run.id))
    return await file_download(request, copy, run.name, "application/octet-stream")


@router.get("/reports/{name:segment}")
async def download_report(request: Request, visit: Looking, run_id: int, name: str) -> Response:
    """Send a file that the hook reported, from /results."""
    return await send_report(request, visit, run_id, name)


async def _shown(request: Request, visit: Visit, run_id: int, refused: Exception | None = None) -> Response:
    moved = await visit.office.reader.newest_move()  # before all else is read, so that the page misses no change
    run = await visit.run(run_id)
    http_problem = as_http_problem(refused) if refused else None
    now = utc_now().timestamp()
    folder = visit.folder
    return render(
        request,
        "file.html",
        visit,
        status=http_problem.status if http_problem else 200,
        problem=http_problem,
        moved=moved,
        run=run,
        report=run_json(run),
        outcome=sentence(run, now),
        attempts=ATTEMPTS,
        reports=await report_names(visit.office.files, folder, run),
        has_file=await visit.archive.find(folder, folder.run_copy(run.id)) is not None,
        failed=why_not_rerun(run) is None,
        reloads=moves_soon(run, now),
        STATES=STATES,
    )
