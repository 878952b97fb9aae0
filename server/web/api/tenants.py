"""`/tenants`: all of them, for the operator."""

from __future__ import annotations

from typing import Any

from server.web.api import models
from server.web.api.asking import Operating, Routes
from server.web.api.refusals import ALWAYS, refuses

router = Routes(prefix="/tenants", tags=["tenants"])


@router.get("", response_model=models.Tenants, responses=refuses(*ALWAYS, "forbidden"), summary="List tenants")
async def list_tenants(visit: Operating) -> dict[str, Any]:
    """All tenants, by name."""
    return {"tenants": [tenant.to_json() for tenant in await visit.office.tenants.list()], "next": None}
