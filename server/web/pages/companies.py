"""`/tenants`: all companies for the operator, those that need attention first, and the health of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import Response

from ground.words import as_sentence, counted
from importer.model import ImportState
from server.tenants.settings import TenantRefused
from server.upkeep.overview import TenantFacts
from server.web.access import Operating
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render

router = APIRouter(max_body_size=FORM_BYTES_MOST)


NEEDS_ATTENTION = {
    ImportState.HELD: "Newest import is held: decision needed",
    ImportState.FAILED: "Newest import failed",
    ImportState.ABORTED: "Newest upload was interrupted",
    ImportState.IGNORED: "Newest upload has a wrong file name",
}
BANS_SHOWN = 10
NOTHING: Mapping[str, str] = {}
PARTS = {"sftp": "SFTP", "worker": "Imports", "hooks": "Hooks", "database": "Database", "disk": "Disk"}


@router.get("/tenants")
async def list_companies(
    request: Request,
    visit: Operating,
    search: Annotated[str, Query(max_length=255)] = "",
    attention: bool = False,
) -> Response:
    return await _page(request, visit, search, attention=attention)


@router.post("/tenants")
async def add_company(request: Request, visit: Operating, name: Annotated[str, Form()] = "") -> Response:
    """Add a company. If it is refused, show the page with the error."""
    try:
        await visit.add_tenant(name.strip())
    except TenantRefused as error:
        return await _refused(request, visit, "add", name, error)
    return redirect(request, f"/tenants/{name.strip()}/colleagues", "company-added")


@router.post("/tenants/remove")
async def remove_company(request: Request, visit: Operating, name: Annotated[str, Form()] = "") -> Response:
    """Remove the company whose name was typed; a broken one, too."""
    try:
        folder = await visit.remove_tenant(name.strip())
    except TenantRefused as error:
        return await _refused(request, visit, "remove", name, error)
    return redirect(request, "/tenants", "company-removed" if folder else "company-put-aside")


async def _refused(request: Request, visit: Visit, form: str, name: str, error: TenantRefused) -> Response:
    """Show the page with the error beside the name in the form."""
    sentence = f"There is no company “{name}”." if error.code == "no_tenant" else as_sentence(error.message)
    if error.code == "bad_name":
        sentence = sentence.replace("cannot be the name of a tenant.", "cannot be the name of a company.")
    if error.code == "tenant_exists":
        sentence = f"There is a company “{name.strip()}” already."
    status = as_http_problem(error).status
    return await _page(request, visit, typed={form: name}, wrong={form: sentence}, status=status)


async def _page(
    request: Request,
    visit: Visit,
    search: str = "",
    *,
    attention: bool = False,
    typed: Mapping[str, str] = NOTHING,
    wrong: Mapping[str, str] = NOTHING,
    status: int = 200,
) -> Response:
    all_tenants = await visit.office.overview.tenants()
    search = search.strip()
    found = [facts for facts in all_tenants if search.lower() in facts.tenant.name]
    urgent = [facts for facts in found if reasons(facts)]
    calm = [facts for facts in found if not reasons(facts)]
    health = await visit.office.parts_up()
    bans = await visit.office.bans.list()
    return render(
        request,
        "companies.html",
        visit,
        status=status,
        typed=typed,
        wrong=wrong,
        companies=[(facts, reasons(facts)) for facts in (urgent if attention else [*urgent, *calm])],
        search=search,
        attention=attention,
        total=len(all_tenants),
        kept_days=visit.office.tenants.home.kept_days,
        urgent=len(urgent),
        users=_active(all_tenants),
        open_now=sum(facts.sessions for facts in all_tenants),
        bans=bans[:BANS_SHOWN],
        more_bans=max(0, len(bans) - BANS_SHOWN),
        down=[PARTS.get(name, name) for name, up in health.items() if not up],
    )


def reasons(facts: TenantFacts) -> list[str]:
    """Return why a company needs attention; empty if it does not. Pure."""
    found = [f"Broken: {facts.broken}"] if facts.broken else []
    if facts.newest and facts.newest.state in NEEDS_ATTENTION:
        found.append(NEEDS_ATTENTION[facts.newest.state])
    if facts.feed.stale:
        found.append(f"No file was applied for {counted(facts.feed.stale_after_days or 0, 'day', 'days')}")
    if facts.uncounted and not facts.broken:
        found.append("The users cannot be counted")
    return found


def _active(companies: Iterable[TenantFacts]) -> int:
    return sum(facts.users.get("active", 0) for facts in companies if facts.users)
