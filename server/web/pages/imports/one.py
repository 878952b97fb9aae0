"""The page of one import: its outcome, users and messages, and the decisions about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from engine.tokens import Role
from ground.moments import utc_now
from ground.refusals import Refusal
from importer.errors import Refused
from importer.model import APPLIED, WAITING, ImportState
from importer.queue.allowed import may_be_sent
from importer.queue.entry import Entry
from importer.queue.pause import in_the_way
from server.tenants.pauses import pause_of
from server.tenants.setting_texts import SETTING_TEXTS
from server.tenants.settings import TenantSettings
from server.web.access import Looking, Owning
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.imports.naming import as_in_form
from server.web.pages.imports.page import outcome
from server.web.pages.imports.parts import Asked, parts_of
from server.web.pages.notices import redirect
from server.web.pages.rendering import render
from server.web.pages.sentences import approval_means, sending_means, undo_means
from server.web.pages.settings.words import in_words

router = APIRouter(prefix="/tenants/{tenant}/imports/{import_id:number}")

Turned = Annotated[Asked, Query()]


@router.get("")
async def show_import(request: Request, visit: Looking, import_id: int, asked: Turned) -> Response:
    return await _shown(request, visit, import_id, asked)


@router.post("/approve")
async def approve(request: Request, visit: Owning, import_id: int, held_at: Annotated[str, Form()] = "") -> Response:
    """Approve a held import. `held_at` is the time of the list that the form shows; any other list is refused."""

    async def decide(entry: Entry) -> None:
        await visit.approve(entry, held_at)

    return await _decided(request, visit, import_id, "approved", decide)


@router.post("/discard")
async def discard(request: Request, visit: Owning, import_id: int) -> Response:
    async def decide(entry: Entry) -> None:
        await visit.office.queue.discard(visit.tenant, entry.id, by=visit.token.bearer)

    return await _decided(request, visit, import_id, "discarded", decide)


@router.post("/undo")
async def undo(request: Request, visit: Owning, import_id: int) -> Response:
    async def decide(entry: Entry) -> None:
        pause = await visit.pause()
        await visit.office.queue.undo(visit.tenant, entry.id, by=visit.token.bearer, pause=pause)

    return await _decided(request, visit, import_id, "undoing", decide)


@router.post("/send")
async def send(request: Request, visit: Owning, import_id: int) -> Response:
    """Send the file of this dry run, and redirect to its import; a second click leads to the same import."""
    await visit.entry(import_id)
    try:
        number = await visit.office.sending.of_test(visit.tenant, import_id, visit.token.name)
    except Refusal as error:
        return await _shown(request, visit, import_id, Asked(), refused=error)
    return redirect(request, f"/tenants/{visit.tenant}/imports/{number}", "sent")


@router.post("/save")
async def save_settings(request: Request, visit: Owning, import_id: int) -> Response:
    """Save the settings that this dry run tested."""

    async def decide(entry: Entry) -> None:
        if entry.trial is None or not entry.trial.changes:
            raise Refused("no_trial", f"import {entry.id} of {entry.tenant} did not test settings")
        await visit.office.tenants.change_settings(visit.tenant, entry.trial.changes, by=visit.token.bearer)

    return await _decided(request, visit, import_id, "settings-saved", decide, "settings")


async def _decided(
    request: Request,
    visit: Visit,
    import_id: int,
    done: str,
    decide: Callable[[Entry], Awaitable[None]],
    then: str = "",
) -> Response:
    """Run `decide`, then redirect to the import or the page `then`; if refused, show the import with the reason."""
    entry = await visit.entry(import_id)
    try:
        await decide(entry)
    except Refusal as error:
        return await _shown(request, visit, import_id, Asked(), refused=error)
    return redirect(request, f"/tenants/{visit.tenant}/{then or f'imports/{import_id}'}", done)


async def _shown(
    request: Request, visit: Visit, import_id: int, asked: Asked, refused: Exception | None = None
) -> Response:
    moved = await visit.office.reader.newest_move()
    entry = await visit.entry(import_id)
    http_problem = as_http_problem(refused) if refused else None
    settings = await visit.settings()
    pause = pause_of(settings, utc_now())
    facts: dict[str, Any] = await parts_of(entry, visit.archive, visit.folder, visit.users, settings, asked)
    return render(
        request,
        "import.html",
        visit,
        status=http_problem.status if http_problem else 200,
        problem=http_problem,
        moved=moved,
        entry=entry,
        # The message of an applied import is a warning; the template shows it above the sentence.
        look_first=entry.message if entry.state in APPLIED else None,
        outcome=outcome(replace(entry, message=None) if entry.state in APPLIED else entry, visit),
        undo_means=undo_means,
        approval_means=approval_means,
        SETTING_TEXTS=SETTING_TEXTS,
        in_words=in_words,
        as_in_form=partial(as_in_form, page=f"/tenants/{visit.tenant}/settings"),
        owners=await _owners(visit) if entry.state is ImportState.HELD and not visit.may_change else [],
        **await _sending(visit, entry, settings),
        why_not_undone=await visit.office.reader.why_not_undone(entry, pause),
        paused=pause is not None,
        reloads=entry.state in WAITING and in_the_way(pause, entry),
        **facts,
    )


async def _sending(visit: Visit, entry: Entry, settings: TenantSettings) -> dict[str, Any]:
    """Return the facts of the button that sends a tested file: what it does, or why there is none."""
    if not (visit.may_change and may_be_sent(entry)):
        return {"sends": None}
    reader = visit.office.reader
    why_not = await visit.office.sending.why_not(reader, entry, settings)
    sent = await reader.sent_as(*entry.key) if why_not and why_not.code == "already_sent" else None
    return {"sends": sending_means(entry.report()), "why_not_sent": why_not, "sent_as": sent}


async def _owners(visit: Visit) -> list[str]:
    """Return the comments of the owners' tokens of this tenant: a viewer sees who can decide."""
    now = utc_now()
    tokens = [each for each in await visit.office.tokens.list() if each.tenant == visit.tenant]
    owners = [each.comment for each in tokens if each.role is Role.OWNER and each.is_valid(now) and each.comment]
    return [*dict.fromkeys(owners)]
