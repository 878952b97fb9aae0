"""`/tenants`: all tenants, for the operator, who adds and removes them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Response

from server.upkeep.overview import TenantFacts
from server.web.api.access_models import AddedTenant, NewTenant, Tenants
from server.web.api.asking import Operating, Removing, Routes, Sent
from server.web.api.refusals import ALWAYS, BODY, LATER, refuses

router = Routes(prefix="/tenants", tags=["tenants"])


@router.get("", response_model=Tenants, responses=refuses(*ALWAYS, "forbidden"), summary="List tenants")
async def list_tenants(visit: Operating) -> dict[str, Any]:
    """All tenants and their status, by name."""
    return {"tenants": [_shown(facts) for facts in await visit.office.overview.tenants()], "next": None}


@router.post(
    "",
    status_code=201,
    response_model=AddedTenant,
    responses={
        201: {"headers": {"Location": {"description": "Its imports.", "schema": {"type": "string"}}}},
        **refuses(*ALWAYS, "forbidden", *BODY, "bad_name", "tenant_exists", *LATER),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewTenant"}}},
        }
    },
    summary="Add a tenant",
)
async def add_tenant(
    visit: Operating,
    sent: Annotated[NewTenant, Depends(Sent(NewTenant))],
    response: Response,
) -> dict[str, Any]:
    """Add a tenant without keys and tokens. Clients can log in as soon as it has a key."""
    tenant = await visit.add_tenant(sent.name)
    response.headers["location"] = f"/api/v1/tenants/{tenant.name}/imports"
    return tenant.to_json()


@router.delete(
    "/{tenant}",
    status_code=204,
    responses=refuses(*ALWAYS, "no_tenant", "forbidden", *LATER),
    summary="Remove a tenant",
)
async def remove_tenant(visit: Removing) -> None:
    """Remove a tenant: end its sessions, tokens and imports, and move its folder to `removed/`. A broken one, too."""
    await visit.remove_tenant(visit.tenant)


def _shown(facts: TenantFacts) -> dict[str, Any]:
    return {
        **facts.tenant.to_json(),
        "last_import": facts.newest.report().to_json() if facts.newest else None,
        "last_applied_at": facts.feed.last_applied_at,
        "stale": facts.feed.stale,
        "paused_until": facts.pause.ends_at if facts.pause else None,
        "users": facts.users,
        "sessions": facts.sessions,
        "disk_bytes": facts.disk_bytes,
        "broken": facts.broken,
    }
