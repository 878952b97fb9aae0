"""`POST /imports`: sends a file, or tests it. A file that is sent lands as if it came over SFTP."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import Header, Query, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from importer.errors import Refused
from importer.report import ReportJson
from importer.requests import Sender
from server.web.access import has_valid_token
from server.web.api import models
from server.web.api.asking import BINARY, Asked, Owning, Routes, media_type_of, unsupported
from server.web.api.refusals import LATER, OWNING, refuses
from server.web.http_problem import HttpProblem

router = Routes(prefix="/tenants/{tenant}/imports", tags=["imports"])

TYPES = ("text/csv", "application/octet-stream")
NAME = "sync_users.csv"
SHA_256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):\s*(?:,|$)")


class SendingAsked(Asked):
    dry_run: Annotated[
        Literal["true", "false"], Field(description="`true` tests the file, `false` sends it to be imported.")
    ]
    name: str = Field(
        NAME, min_length=1, max_length=255, description=f"The name of a tested file. A file that is sent is `{NAME}`."
    )


Digest = Annotated[
    str | None,
    Header(
        alias="Content-Digest",
        description="The SHA-256 of the file (RFC 9530). Required to send a file while `require_checksum` is on.",
        examples=["sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:"],
    ),
]


@router.post(
    "",
    status_code=202,
    response_model=models.Report,
    responses={
        202: {"headers": {"Location": {"description": "The path of the report.", "schema": {"type": "string"}}}},
        **refuses(
            *OWNING,
            *("bad_request", "unsupported_type", "upload_stalled", "broken_body", "bad_digest", "digest_differs"),
            *("unsupported_coding", "partial_body"),
            *("digest_missing", "too_many_trials", "too_many_waiting", "not_landed"),
            *("file_too_large", "quota_exceeded", *LATER),
        ),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": dict.fromkeys(TYPES, BINARY),
        }
    },
    summary="Send or test a file",
)
async def send_file(
    visit: Owning,
    asked: Annotated[SendingAsked, Query()],
    request: Request,
    response: Response,
    content_digest: Digest = None,
) -> ReportJson:
    """Send the file in the body: it lands at `/sync_users.csv` as if it came over SFTP, and its import is queued.

    With `dry_run=true` it is only tested: the report says what an import would do, and nothing is changed.

    The report is `queued` at first; `Location` is its path. `/touched` lists the users that a test would change. A
    body that ends too early lands nothing.
    """
    _refuse_headers(request)
    if asked.dry_run == "false" and asked.name != NAME:
        sentence = f"must be {NAME}, or left out, unless dry_run is true"
        raise HttpProblem(422, f"name: {sentence}.", code="bad_request", errors={"name": sentence})
    office, tenant, token, sha256 = visit.office, visit.tenant, visit.token, sha256_in(content_digest)
    chunks, sender = _body(request), Sender(token.name)
    if asked.dry_run == "true":
        import_id = await office.trials.of_file(
            tenant, asked.name, chunks, token.bearer, sender=sender, sha256=sha256
        )
    else:
        import_id = await office.sending.of_file(tenant, chunks, sender, sha256)
    entry = await office.queue.require(tenant, import_id)
    response.headers["location"] = f"/api/v1/tenants/{tenant}/imports/{import_id}"
    return entry.report().to_json()


def sha256_in(digest: str | None) -> str | None:
    """Return the SHA-256 of a Content-Digest in hexadecimal; None without one. Raises HttpProblem (`bad_digest`)."""
    if digest is None:
        return None
    found = SHA_256.search(digest)
    try:
        value = b64decode(found[1], validate=True) if found else b""
    except Error:
        value = b""
    if len(value) != 32:
        sentence = "Content-Digest must have the SHA-256 of the file in Base64, as sha-256=:…:."
        raise HttpProblem(400, sentence, code="bad_digest")
    return value.hex()


def _refuse_headers(request: Request) -> None:
    """Raise HttpProblem if the headers say that the body is not a whole file as it is, before it is read."""
    if media_type_of(request) not in TYPES:
        raise unsupported(TYPES)
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if not {coding.strip() for coding in codings} <= {"", "identity"}:
        sentence = "Send the file as it is, without Content-Encoding."
        raise HttpProblem(415, sentence, code="unsupported_coding", headers={"accept-encoding": "identity"})
    if "content-range" in request.headers:
        raise HttpProblem(400, "Send the whole file, without Content-Range.", code="partial_body")


async def _body(request: Request) -> AsyncIterator[bytes]:
    """Yield the body. At its end, the token must still be valid: a body may take long."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise Refused("broken_body", "the client disconnected before it had sent the file") from None
    if not await has_valid_token(request):
        raise Refused("no_token", "the token was revoked or expired before the file was complete")
