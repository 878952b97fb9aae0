"""The imports of a tenant, and one of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from server.web.access import Need, SessionNeeds, Visit
from server.web.pages.rendering import render

router = APIRouter(prefix="/tenants/{tenant}/imports")

Looking = Annotated[Visit, Depends(SessionNeeds(Need.VIEWER))]
Deciding = Annotated[Visit, Depends(SessionNeeds(Need.OWNER))]

PAGE = 50


@router.get("")
async def list_imports(request: Request, visit: Looking) -> Response:
    entries = await visit.office.reader.page(visit.tenant, limit=PAGE)
    reports = [entry.report() for entry in entries]
    return render(request, "imports.html", visit, reports=reports)
