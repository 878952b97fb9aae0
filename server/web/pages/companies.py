"""`/tenants`: all companies for the operator, those that need somebody first; and whether the server is well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from importer.model import ImportState
from server.upkeep.overview import TenantFacts
from server.web.access import Operating
from server.web.pages.rendering import render

router = APIRouter()


NEEDS_SOMEBODY = {
    ImportState.HELD: "Its last import waits for a decision",
    ImportState.FAILED: "Its last import failed",
    ImportState.ABORTED: "Its last upload broke off",
    ImportState.IGNORED: "Its last upload had a wrong name",
}
BANS_SHOWN = 10
PARTS = {"sftp": "SFTP", "worker": "Imports", "database": "Database", "disk": "Disk"}


@router.get("/tenants")
async def list_companies(
    request: Request,
    visit: Operating,
    search: Annotated[str, Query(max_length=255)] = "",
    attention: bool = False,
) -> Response:
    everybody = await visit.office.overview.tenants()
    search = search.strip()
    found = [facts for facts in everybody if search.lower() in facts.tenant.name]
    urgent = [facts for facts in found if reasons(facts)]
    calm = [facts for facts in found if not reasons(facts)]
    health = await visit.office.parts_up()
    bans = await visit.office.bans.list()
    return render(
        request,
        "companies.html",
        visit,
        companies=[(facts, reasons(facts)) for facts in (urgent if attention else [*urgent, *calm])],
        search=search,
        attention=attention,
        total=len(everybody),
        urgent=len(urgent),
        users=_active(everybody),
        open_now=sum(facts.sessions for facts in everybody),
        bans=bans[:BANS_SHOWN],
        more_bans=max(0, len(bans) - BANS_SHOWN),
        down=[PARTS.get(name, name) for name, up in health.items() if not up],
    )


def reasons(facts: TenantFacts) -> list[str]:
    """Why somebody should look at a company; nothing if all is well. Pure."""
    found = [f"Broken: {facts.broken}"] if facts.broken else []
    found += [NEEDS_SOMEBODY[facts.newest.state]] if facts.newest and facts.newest.state in NEEDS_SOMEBODY else []
    if facts.feed.stale:
        days = facts.feed.stale_after_days
        found.append("No file was applied for a day" if days == 1 else f"No file was applied for {days} days")
    if facts.uncounted and not facts.broken:
        found.append("Its users could not be counted")
    return found


def _active(companies: Iterable[TenantFacts]) -> int:
    return sum(facts.users.get("active", 0) for facts in companies if facts.users)
