"""Errors of requests, as problems of RFC 9457: status, code and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ground.refusals import Refusal
from ground.words import as_sentence
from importer.errors import TryAgain
from importer.users.history import ChangesGone
from keys.errors import KeyRefused
from server.setting_errors import reason
from server.tenants.settings import TenantRefused

MEDIA_TYPE = "application/problem+json"

STATUS = {
    "no_tenant": 404,
    "unknown_tenant": 404,
    "unknown_import": 404,
    "unknown_run": 404,
    "no_user": 404,
    "key_unknown": 404,
    "unknown_token": 404,
    "no_file": 404,
    "broken_body": 400,
    "bad_digest": 400,
    "digest_differs": 400,
    "no_token": 401,
    "upload_stalled": 408,
    "key_duplicate": 409,
    "key_too_many": 409,
    "changes_gone": 410,
    "settings_changed": 412,
    "file_too_large": 413,
    "bad_name": 422,
    "bad_comment": 422,
    "bad_email": 422,
    "bad_expiry": 422,
    "bad_role": 422,
    "bad_setting": 422,
    "digest_missing": 422,
    "unknown_setting": 422,
    "too_many_trials": 429,
    "no_folder": 503,
    "tenant_broken": 503,
    "quota_exceeded": 507,
    "disk_full": 507,
}
"""The status of a refusal by its code. Other codes have 422 if they are about a key, else 409."""

AGAIN_S = 10
"""The seconds in Retry-After."""


class HttpProblem(Exception):  # noqa: N818 - what it is
    """The end of a request as a problem of RFC 9457.

    `detail` is a sentence that says what to do. `code` is stable; None if the status says enough. `errors` has a
    sentence for each wrong parameter, field or setting, by name. `more` has further members of the body.
    `as_http_problem` converts a `Refusal` to an HttpProblem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})
        self.errors = dict(errors or {})
        self.more = dict(more or {})

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def answer(self) -> JSONResponse:
        """Return the answer as application/problem+json. A Link header leads to the row of the code in the help."""
        headers = {**({"www-authenticate": "Bearer"} if self.status == 401 else {}), **self.headers}
        if self.code:
            headers["link"] = f'</help/api#{self.code}>; rel="help"'
        return JSONResponse(self.to_json(), self.status, headers, media_type=MEDIA_TYPE)

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        body["detail"] = self.detail
        if self.code:
            body["code"] = self.code
        if self.errors:
            body["errors"] = [{"name": name, "detail": sentence} for name, sentence in self.errors.items()]
        return {**body, **self.more}


def as_http_problem(error: Exception) -> HttpProblem:
    """Map an exception that is an answer to the HttpProblem sent to the client. Pure."""
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, HTTPException):
        code, sentence = _SENTENCES.get(error.status_code, (None, error.detail))
        return HttpProblem(error.status_code, sentence, code=code, headers=error.headers)
    if isinstance(error, RequestValidationError):
        return unfit(error.errors())
    if isinstance(error, TryAgain):
        detail = f"Not possible now: {error.message}. Nothing was changed. Try again later."
        return HttpProblem(
            507 if error.code == "disk_full" else 503, detail, code=error.code, headers={"retry-after": str(AGAIN_S)}
        )
    if isinstance(error, Refusal):
        return _refused(error)
    raise TypeError(f"{type(error).__name__} is not an answer")


_SENTENCES = {
    404: ("not_found", "Page not found."),
    405: ("bad_method", "This address does not accept this method; the Allow header lists those it accepts."),
}


def unfit(errors: Sequence[ErrorDetails]) -> HttpProblem:
    """Return the HttpProblem for a request that does not fit: all errors, and the first as the sentence. Pure."""
    found: dict[str, str] = {}
    for each in errors:
        found.setdefault(_where(each), reason(each))
    name, sentence = next(iter(found.items()))
    return HttpProblem(422, f"{name}: {sentence}.", code="bad_request", errors=found)


def _where(error: ErrorDetails) -> str:
    """Return the name of a parameter, or the path of a field in the body."""
    place = error["loc"][1:] if error["loc"][:1] in {("query",), ("path",), ("header",), ("body",)} else error["loc"]
    return ".".join(str(part) for part in place) or "body"


def _refused(error: Refusal) -> HttpProblem:
    status = STATUS.get(error.code, 422 if isinstance(error, KeyRefused) else 409)
    errors = error.settings if isinstance(error, TenantRefused) else {}
    headers = {"retry-after": str(AGAIN_S)} if status in {429, 503} else {}
    more = {"next": error.newest} if isinstance(error, ChangesGone) else {}
    return HttpProblem(status, as_sentence(error.message), code=error.code, headers=headers, errors=errors, more=more)
