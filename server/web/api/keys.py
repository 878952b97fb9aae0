"""`/keys`: the public keys for SFTP logins of a tenant."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Path, Response

from server.tenants.access.key_uses import with_uses
from server.web.api import access_models
from server.web.api.asking import Looking, Owning, Routes, Sent
from server.web.api.refusals import BODY, KEY, LOOKING, OWNING, refuses

router = Routes(prefix="/tenants/{tenant}/keys", tags=["keys"])

Fingerprint = Annotated[
    str,
    Path(
        description="As `ssh-keygen -l` shows it. `SHA256:` is optional, and slashes may be encoded.",
        examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
    ),
]
_sent = Sent(access_models.NewKey)


@router.get("", response_model=access_models.Keys, responses=refuses(*LOOKING), summary="List keys")
async def list_keys(visit: Looking) -> dict[str, Any]:
    """The keys of the tenant, oldest first, expired ones included."""
    keys = await visit.ring.keys()
    return {"keys": with_uses(keys, await visit.office.key_uses.of(visit.tenant)), "next": None}


@router.post(
    "",
    status_code=201,
    response_model=access_models.Key,
    responses={
        201: {"headers": {"Location": {"description": "The key.", "schema": {"type": "string"}}}},
        **refuses(*OWNING, *BODY, *KEY),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewKey"}}},
        }
    },
    summary="Add a key",
)
async def add_key(
    visit: Owning, sent: Annotated[access_models.NewKey, Depends(_sent)], response: Response
) -> dict[str, Any]:
    """Add a public key that clients of the tenant can log in with."""
    key = await visit.ring.add(sent.key, sent.comment, sent.expires, sent.networks)
    response.headers["location"] = f"/api/v1/tenants/{visit.tenant}/keys/{quote(key.fingerprint, safe='')}"
    return with_uses([key], {})[0]


@router.get(
    "/{fingerprint:segments}",
    response_model=access_models.Key,
    responses=refuses(*LOOKING, "key_unknown", "bad_request"),
    summary="Show a key",
)
async def show_key(visit: Looking, fingerprint: Fingerprint) -> dict[str, Any]:
    """One key, with its last use."""
    key = await visit.ring.find(fingerprint)
    return with_uses([key], await visit.office.key_uses.of(visit.tenant))[0]


@router.delete(
    "/{fingerprint:segments}",
    status_code=204,
    responses=refuses(*OWNING, "key_unknown", "bad_request"),
    summary="Revoke a key",
)
async def revoke_key(visit: Owning, fingerprint: Fingerprint) -> None:
    """Revoke a key. Sessions that it opened end within seconds."""
    await visit.revoke_key(fingerprint)
