"""`/imports`: what became of the files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from importer.queue import unknown_import
from server.web.access import BearerNeeds, Need, Visit

router = APIRouter(prefix="/tenants/{tenant}/imports", tags=["imports"])

Looking = Annotated[Visit, Depends(BearerNeeds(Need.VIEWER))]
Deciding = Annotated[Visit, Depends(BearerNeeds(Need.OWNER))]


@router.get("/{import_id}")
async def show_import(visit: Looking, import_id: int) -> dict[str, Any]:
    """The report of one import."""
    entry = await visit.office.reader.get(visit.tenant, import_id)
    if entry is None:
        raise unknown_import(visit.tenant, import_id)
    return entry.report().to_json()
