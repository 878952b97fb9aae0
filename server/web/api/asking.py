"""The parts of API routes: methods, access, pages of lists, and bodies.

A list answers `{"<noun>": [...], "next": <cursor or null>}`, and names the next page in a Link header too (RFC 8288).
A body is read only after access was granted, and only up to its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

import server.web.segments  # noqa: F401 - registers the path convertors
from importer.model import INTEGER_MAX
from server.web.access import BearerNeeds, Need
from server.web.http_problem import HttpProblem, unfit
from server.web.office import Office, Visit

Looking = Annotated[Visit, Depends(BearerNeeds(Need.VIEWER))]
Owning = Annotated[Visit, Depends(BearerNeeds(Need.OWNER))]
Operating = Annotated[Visit, Depends(BearerNeeds(Need.OPERATOR))]
Removing = Annotated[Visit, Depends(BearerNeeds(Need.OPERATOR, sound=False))]
"""The operator, also at a broken tenant."""

BODY_BYTES_MOST = 1024 * 1024
JSON = "application/json"
BINARY = {"schema": {"type": "string", "format": "binary"}}
"""A file as a body or an answer, in the OpenAPI document."""

ImportId = Annotated[int, Path(ge=1, le=INTEGER_MAX, description="The id of the import.", examples=[7])]
Limit = Annotated[int, Field(ge=1, le=1000, description="The most entries in a page.")]
Cursor = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
After = Annotated[Cursor, Field(description="Only entries after this cursor: the `next` of the previous page.")]
Before = Annotated[Cursor, Field(description="Only entries older than this cursor: the `next` of the previous page.")]

M = TypeVar("M", bound=BaseModel)
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Asked(BaseModel):
    """The query parameters of a route. An unknown one is refused, because a misspelled filter would find too much."""

    model_config = ConfigDict(extra="forbid")


class Routes(APIRouter):
    """A router that answers HEAD wherever it answers GET."""

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        add_get = super().get(path, **options)

        def add(endpoint: Endpoint) -> Endpoint:
            self.add_api_route(path, endpoint, methods=["HEAD"], **{**options, "include_in_schema": False})
            return add_get(endpoint)

        return add


def listed(
    request: Request, response: Response, noun: str, entries: Sequence[Any], following: int | None, cursor: str
) -> dict[str, Any]:
    """Return one page of a list. `following` is the `cursor` of the next page; None on the last page."""
    if following is not None:
        query = request.url.include_query_params(**{cursor: following}).query
        path = request.scope["raw_path"].decode("latin-1")  # as the client encoded it
        response.headers["link"] = f'<{origin_of(request)}{path}?{query}>; rel="next"'
    return {noun: entries, "next": following}


def origin_of(request: Request) -> str:
    """Return the address of the server as its clients open it, without a slash at the end.

    It is HTTP_PUBLIC_URL, or else the address of the request, as a trusted proxy gives it.
    """
    office: Office = request.app.state.office
    return (office.settings.http_public_url or str(request.base_url)).rstrip("/")


class Sent(Generic[M]):
    """A dependency that reads the body as this model. Raises HttpProblem: 400, 413, 415 or 422."""

    def __init__(self, model: type[M], *types: str) -> None:
        self.model = model
        self.types = types or (JSON,)

    async def __call__(self, request: Request) -> M:
        content = await body_of(request, self.types)
        try:
            return self.model.model_validate(content)
        except ValidationError as error:
            raise unfit(error.errors(include_url=False)) from None


async def body_of(request: Request, types: Sequence[str]) -> Any:
    """Return the body, read as JSON. Raises HttpProblem if it is too large, of another media type, or not JSON."""
    if media_type_of(request) not in types:
        raise unsupported(types)
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_BYTES_MOST:
            most = f"{BODY_BYTES_MOST // 1024:,} KiB"
            raise HttpProblem(
                413, f"The body may have at most {most}.", code="too_large", headers={"connection": "close"}
            )
    try:
        return from_json(bytes(found), allow_inf_nan=False)
    except ValueError as error:
        raise HttpProblem(400, f"The body is not valid JSON: {error}.", code="bad_json") from None


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(types: Sequence[str]) -> HttpProblem:
    known = " or ".join(types)
    accept = {"accept": known.replace(" or ", ", "), "accept-patch": known.replace(" or ", ", ")}
    return HttpProblem(415, f"Send this with Content-Type: {known}.", code="unsupported_type", headers=accept)
