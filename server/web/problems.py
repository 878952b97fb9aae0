"""What could not be done, and how it is told: as RFC 9457 wants it, by status, code and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from importer.errors import Refused, TryAgain
from keys.errors import KeyRefused
from server.tenant_settings import TenantRefused

NOT_FOUND = frozenset({"no_tenant", "bad_name", "unknown_import", "unknown_user", "key_unknown", "no_file"})
UNFIT = frozenset({"bad_setting", "unknown_setting"})
"""What was sent makes no sense, whatever the state of things is."""


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """A request that ends here. `detail` is a sentence that says what to do, `code` is stable."""

    def __init__(
        self, status: int, detail: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def answer(self) -> JSONResponse:
        """As application/problem+json."""
        headers = {**({"www-authenticate": "Bearer"} if self.status == 401 else {}), **self.headers}
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        if self.code:
            body["code"] = self.code
        return JSONResponse(body, self.status, headers, media_type="application/problem+json")


def as_problem(error: Exception) -> Problem:
    """What an exception that is an answer means to whoever asked. Pure."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, _SENTENCES.get(error.status_code, error.detail), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return Problem(422, _unfit(error), code="bad_request")
    if isinstance(error, TryAgain):
        sentence = f"Not now: {error.message}. Try again when the import that runs has ended."
        return Problem(503, sentence, code=error.code, headers={"retry-after": "10"})
    if isinstance(error, Refused | TenantRefused | KeyRefused):
        return Problem(_status_of(error), _sentence(error.message), code=error.code)
    raise TypeError(f"{type(error).__name__} is no answer")


_SENTENCES = {404: "There is nothing here.", 405: "That can't be done here."}


def _status_of(error: Refused | TenantRefused | KeyRefused) -> int:
    if error.code in NOT_FOUND:
        return 404
    if error.code == "settings_changed":
        return 412
    if error.code in UNFIT or (isinstance(error, KeyRefused) and error.code not in {"key_duplicate", "key_too_many"}):
        return 422
    return 409


def _sentence(message: str) -> str:
    """The same with a capital and a full stop; what begins with a name stays as it is."""
    first = message.split(" ", 1)[0]
    text = message[:1].upper() + message[1:] if first.isalpha() and first.islower() else message
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _unfit(error: RequestValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return f"{name}: {first['msg'].replace('Input should', 'must')}."
