"""The list of a tenant's runs: the files that hooks other than `sync_users` received, newest first."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine.runs import Run
from ground.moments import utc_now
from importer.model import INTEGER_MAX, WAITING, ImportState
from server.runs.registry import RegisteredHook
from server.web.access import Looking
from server.web.office import Visit
from server.web.pages.files.sentences import STATES, sentence
from server.web.pages.rendering import render

router = APIRouter(prefix="/tenants/{tenant}/files")

PAGE = 50
SOON_S = 60.0
"""Without JavaScript, the page reloads itself while a run runs or is due within this time."""


@router.get("")
async def list_files(
    request: Request, visit: Looking, hook: str = "", state: str = "", before: int = INTEGER_MAX
) -> Response:
    """List runs with an id below `before`: of `hook` ("": of all), in `state` (any, if it is not a state)."""
    office, now = visit.office, utc_now().timestamp()
    moved = await office.reader.newest_move()
    wanted = next((each for each in STATES if each == state), None)
    below = max(0, min(before, INTEGER_MAX))
    runs = await office.run_reader.page(visit.tenant, hook=hook or None, state=wanted, before=below, limit=PAGE + 1)
    shown, hooks = runs[:PAGE], await _hooks_of(visit)
    return render(
        request,
        "files.html",
        visit,
        moved=moved,
        runs=shown,
        older=_address(hook, wanted, shown[-1].id) if len(runs) > PAGE else None,
        newest=_address(hook, wanted) if before != INTEGER_MAX else None,
        hooks=hooks,
        names=sorted({*(each.name for each in hooks), *([hook] if hook else [])}),
        hook=hook,
        wanted=wanted,
        reloads=any(moves_soon(run, now) for run in shown),
        STATES=STATES,
        outcome=lambda run: sentence(run, now),
    )


def moves_soon(run: Run, now: float) -> bool:
    """Return whether the state of `run` is expected to change within SOON_S. Pure."""
    return run.state in WAITING and run.not_before <= now + SOON_S


async def _hooks_of(visit: Visit) -> list[RegisteredHook]:
    """Return the hooks of the server that are on for the tenant."""
    settings = await visit.settings()
    return [hook for hook in visit.office.registry().hooks if settings.has_on(hook.name)]


def _address(hook: str, state: ImportState | None, before: int | None = None) -> str:
    """Return the query of a page of the list."""
    asked = {"hook": hook, "state": state or "", "before": before or ""}
    return "?" + urlencode({name: value for name, value in asked.items() if value})
