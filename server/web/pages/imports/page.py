"""The list of a tenant's imports: held and running ones first, then a chart of the newest, then all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from ground.moments import utc_now
from importer.model import APPLIED, INTEGER_MAX, ImportState
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.pause import in_the_way
from server.tenants.pauses import pause_of
from server.tenants.settings import TenantRefused
from server.web.access import Looking, Owning
from server.web.office import Visit
from server.web.pages.imports.chart import Point, draw, scale_of
from server.web.pages.imports.first import first_file
from server.web.pages.imports.naming import as_in_form
from server.web.pages.imports.pausing import PauseForm, form_of, moment_of, shown_pause, typed_form
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.sentences import sentence

router = APIRouter(prefix="/tenants/{tenant}/imports", max_body_size=FORM_BYTES_MOST)


PAGE = 50
DRAWN = 30
"""The most imports in the chart. With fewer than 2 applied imports, the page shows no chart."""

CHOOSE = "choose the date and the time at which the pause ends"

STATES_SHOWN = [state for state in ImportState if state is not ImportState.ARRIVING]


@router.get("")
async def list_imports(request: Request, visit: Looking, state: str = "", before: int = INTEGER_MAX) -> Response:
    """List imports, newest first: those in `state` (any, if it is not a state) with an id below `before`."""
    return await _page(request, visit, state, before)


@router.post("/pause")
async def pause_imports(
    request: Request,
    visit: Owning,
    until: Annotated[str, Form()] = "",
    instant: Annotated[str, Form()] = "",
    because: Annotated[str, Form()] = "",
) -> Response:
    """Pause the feed, or change its pause. If that is refused, show the form again with the error."""
    moment = moment_of(until, instant)
    form = PauseForm(typed_form(moment), because)
    if not moment:
        return await _page(request, visit, form=replace(form, errors={"paused_until": CHOOSE}), status=422)
    changes = {"paused_until": moment, "paused_because": because.strip() or None}
    try:
        await visit.office.tenants.change_settings(visit.tenant, changes, by=visit.token.bearer)
    except TenantRefused as error:
        if not error.settings:
            raise
        return await _page(request, visit, form=replace(form, errors=error.settings), status=422)
    return redirect(request, f"/tenants/{visit.tenant}/imports", "paused")


@router.post("/resume")
async def resume_imports(request: Request, visit: Owning) -> Response:
    """End the pause of the feed: the waiting imports run in order."""
    changes = {"paused_until": None, "paused_because": None}
    await visit.office.tenants.change_settings(visit.tenant, changes, by=visit.token.bearer)
    visit.office.queue.changed.set()
    return redirect(request, f"/tenants/{visit.tenant}/imports", "resumed")


async def _page(
    request: Request,
    visit: Visit,
    state: str = "",
    before: int = INTEGER_MAX,
    *,
    form: PauseForm | None = None,
    status: int = 200,
) -> Response:
    reader, tenant = visit.office.reader, visit.tenant
    settings = await visit.settings()
    wanted = next((each for each in STATES_SHOWN if each == state), None)
    below = max(0, min(before, INTEGER_MAX))
    moved = await reader.newest_move()
    under_way, pause = await reader.under_way(tenant), pause_of(settings, utc_now())
    points = await points_of(reader, tenant)
    entries = await reader.page(tenant, state=wanted, messages=False, before=below, limit=PAGE + 1)
    newest = before == INTEGER_MAX
    first = await first_file(request, visit) if newest and not (entries or wanted) else None
    return render(
        request,
        "imports.html",
        visit,
        status=status,
        moved=moved,
        pause=await shown_pause(visit, settings),
        form=form or form_of(pause),
        # A reload loses what is typed: none while nothing moves before the end of the pause, or a form has errors.
        reloads=form is None and any(in_the_way(pause, each) for each in under_way),
        entries=entries[:PAGE],
        older=entries[PAGE - 1].id if len(entries) > PAGE else None,
        newest=newest,
        first=first,
        wanted=wanted,
        states=STATES_SHOWN,
        held=await reader.held(tenant),
        under_way=under_way,
        points=points,
        draw=draw,
        cut=any(scale_of(points).cuts(count) for point in points for count in point.changes),
        outcome=lambda entry: outcome(entry, visit),
        has_counts=has_counts,
        as_in_form=partial(as_in_form, page=f"/tenants/{tenant}/settings"),
        look_first=lambda entry: entry.message is not None and entry.state in APPLIED,
    )


def outcome(entry: Entry, visit: Visit) -> str:
    """Return how `entry` ended, or what it is doing, in one sentence for this visitor."""
    return sentence(entry.report(), undoing=entry.undo is not None, decides=visit.may_change)


def has_counts(entry: Entry) -> bool:
    """Return whether the counts say what the import did before an undo, or what a dry run would have done."""
    return entry.outcome is not None and entry.state in APPLIED | {ImportState.UNDONE}


async def points_of(reader: Listing, tenant: str) -> list[Point]:
    """Return the newest applied imports for the chart, oldest first."""
    return [*_points(reversed(await reader.applied(tenant, DRAWN)))]


def _points(entries: Iterable[Entry]) -> Iterable[Point]:
    for entry in entries:
        if entry.outcome and entry.finished_at:
            counts = entry.outcome.counts
            yield Point(
                f"#{entry.id}",
                entry.outcome.active,
                counts.created + counts.reactivated,
                counts.updated,
                counts.deactivated,
                entry.finished_at,
            )
