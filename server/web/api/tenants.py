"""`/tenants`: all tenants, for the operator."""

from __future__ import annotations

from typing import Any

from server.upkeep.overview import TenantFacts
from server.web.api import models
from server.web.api.asking import Operating, Routes
from server.web.api.refusals import ALWAYS, refuses

router = Routes(prefix="/tenants", tags=["tenants"])


@router.get("", response_model=models.Tenants, responses=refuses(*ALWAYS, "forbidden"), summary="List tenants")
async def list_tenants(visit: Operating) -> dict[str, Any]:
    """All tenants and their status, by name."""
    return {"tenants": [_shown(facts) for facts in await visit.office.overview.tenants()], "next": None}


def _shown(facts: TenantFacts) -> dict[str, Any]:
    return {
        **facts.tenant.to_json(),
        "last_import": facts.newest.report().to_json() if facts.newest else None,
        "last_applied_at": facts.feed.last_applied_at,
        "stale": facts.feed.stale,
        "users": facts.users,
        "sessions": facts.sessions,
        "disk_bytes": facts.disk_bytes,
        "broken": facts.broken,
    }
