"""`/tokens`: the tokens of a tenant, for its owners and the operator."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Response

from engine.tokens import Role
from importer.model import INTEGER_MAX
from server.web.api import access_models
from server.web.api.asking import Owning, Routes, Sent
from server.web.api.refusals import BODY, LATER, OWNING, refuses

router = Routes(prefix="/tenants/{tenant}/tokens", tags=["tokens"])

TokenId = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The id of the token.", examples=[3])]
_ONE = (*OWNING, "unknown_token", "bad_request")


def _body(model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.get("", response_model=access_models.Tokens, responses=refuses(*OWNING), summary="List tokens")
async def list_tokens(visit: Owning) -> dict[str, Any]:
    """The tokens of the tenant, oldest first, expired ones included. The answer has no secret text."""
    return {"tokens": [each.to_json() for each in await visit.office.tokens.of(visit.tenant)], "next": None}


@router.post(
    "",
    status_code=201,
    response_model=access_models.MadeToken,
    responses={
        201: {"headers": {"Location": {"description": "The token.", "schema": {"type": "string"}}}},
        **refuses(*OWNING, *BODY, "bad_comment", "bad_email", "bad_expiry", "token_too_many", *LATER),
    },
    openapi_extra=_body("NewToken"),
    summary="Create a token",
)
async def create_token(
    visit: Owning, sent: Annotated[access_models.NewToken, Depends(Sent(access_models.NewToken))], response: Response
) -> dict[str, Any]:
    """Create a token of the tenant. Only this answer has its text, `token`."""
    made, text = await visit.create_token(visit.tenant, Role(sent.role), sent.expires, sent.comment, sent.email)
    response.headers["location"] = f"/api/v1/tenants/{visit.tenant}/tokens/{made.id}"
    return {**made.to_json(), "token": text}


@router.get("/{number}", response_model=access_models.Token, responses=refuses(*_ONE), summary="Show a token")
async def show_token(visit: Owning, number: TokenId) -> dict[str, Any]:
    """One token, without its secret text."""
    return (await visit.office.tokens.show(visit.tenant, number)).to_json()


@router.patch(
    "/{number}",
    response_model=access_models.Token,
    responses=refuses(*_ONE, *BODY, "bad_comment", "bad_email", "last_owner", *LATER),
    openapi_extra=_body("TokenPatch"),
    summary="Change a token",
)
async def change_token(
    visit: Owning, number: TokenId, sent: Annotated[access_models.TokenPatch, Depends(Sent(access_models.TokenPatch))]
) -> dict[str, Any]:
    """Change the comment, role or address of a token. Earlier decisions keep the earlier comment and role.

    A change of the address ends the sign-in links that were sent to the earlier one, and the page sessions of the
    token. Only the operator may make the last owner a viewer.
    """
    changes = sent.model_dump(exclude_unset=True)
    role = Role(changes["role"]) if "role" in changes else None
    email = (changes["email"] or "") if "email" in changes else None
    changed = await visit.change_token(visit.tenant, number, comment=changes.get("comment"), role=role, email=email)
    return changed.to_json()


@router.delete(
    "/{number}",
    status_code=204,
    responses=refuses(*_ONE, "last_owner", *LATER),
    summary="Revoke a token",
)
async def revoke_token(visit: Owning, number: TokenId) -> None:
    """Revoke a token, and end its page sessions. Only the operator may revoke the last owner's token."""
    await visit.revoke_token(visit.tenant, number)
