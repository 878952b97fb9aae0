"""`/keys`: the keys of a tenant, and how to connect."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from ground.moments import utc_now
from ground.words import as_sentence
from keys.errors import KeyRefused
from server.tenants.access.key_uses import with_uses
from server.web.access import Looking, Owning
from server.web.http_problem import as_http_problem
from server.web.office import Visit
from server.web.pages.connecting import TYPES, connection_of
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render

router = APIRouter(prefix="/tenants/{tenant}/keys", max_body_size=FORM_BYTES_MOST)


FIELDS = {"key": "", "comment": "", "expires": "", "networks": ""}
NOTHING: Mapping[str, str] = {}
ABOUT = {"key_expires": "expires", "key_network": "networks", "key_comment": "comment"}
"""The field that is wrong, by the code of a refusal. Other codes are about the key itself."""


@router.get("")
async def list_keys(request: Request, visit: Looking) -> Response:
    return await _page(request, visit, FIELDS)


@router.post("")
async def add_key(request: Request, visit: Owning) -> Response:
    """Add a key, pasted or in a file. If it is refused, show the form with the error, but never a private key."""
    async with request.form(max_files=1, max_fields=len(FIELDS)) as form:
        typed = {name: text if isinstance(text := form.get(name), str) else "" for name in FIELDS}
        file = form.get("file")
        if isinstance(file, UploadFile) and (content := await file.read()):
            typed["key"] = "\n".join(filter(None, [typed["key"].strip(), _text(content)]))
    networks = typed["networks"].replace(",", " ").split()
    comment, expires = typed["comment"].strip() or None, typed["expires"].strip() or None
    try:
        await visit.ring.add(typed["key"], comment, expires, networks)
    except KeyRefused as error:
        kept = FIELDS if error.code == "key_private" else typed
        about = ABOUT.get(error.code, "key")
        wrong = {about: as_sentence(error.message)}
        return await _page(request, visit, kept, wrong, status=as_http_problem(error).status)
    return redirect(request, request.url.path, "key-added")


@router.post("/revoke")
async def revoke_key(request: Request, visit: Owning, fingerprint: Annotated[str, Form()] = "") -> Response:
    """Revoke a key; its open sessions end within seconds."""
    await visit.revoke_key(fingerprint)
    return redirect(request, f"/tenants/{visit.tenant}/keys", "key-revoked")


async def _page(
    request: Request,
    visit: Visit,
    typed: Mapping[str, str],
    wrong: Mapping[str, str] = NOTHING,
    status: int = 200,
) -> Response:
    now = utc_now()
    keys = await visit.ring.keys()
    listed = with_uses(keys, await visit.office.key_uses.of(visit.tenant))
    valid = [not key.expired(now) for key in keys]
    return render(
        request,
        "keys.html",
        visit,
        status=status,
        keys=list(zip(listed, valid, strict=True)),
        valid_keys=sum(valid),
        types=TYPES,
        typed=typed,
        wrong=wrong,
        today=f"{now:%Y-%m-%d}",
        connection=connection_of(request, visit),
    )


def _text(content: bytes) -> str:
    """Return the text of a file. Some tools for Windows write UTF-16."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig", "replace")
