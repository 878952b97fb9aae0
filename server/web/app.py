"""Build the HTTP app: health, the API, the pages, and the middleware around them."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from ground.refusals import Refusal
from importer.errors import DatabaseFault, DatabaseUnusable
from keys.errors import RingUnreadable
from server.web import api, pages
from server.web.access import Need, Verdict, broken_answer, judge, token_of
from server.web.api import document
from server.web.forms import Forms
from server.web.health import Health
from server.web.http_problem import HttpProblem, as_http_problem
from server.web.office import Office
from server.web.pages.help.book import PICTURES
from server.web.same_origin import API, HEADERS, NOT_KEPT, Fence
from server.web.segments import Segments

STATIC = Path(str(resources.files("server.web.pages"))) / "static"

ANSWERS = (HttpProblem, HTTPException, RequestValidationError, Refusal)
"""The exceptions that are answers: each becomes an HttpProblem, sent as JSON or as a page."""

UNREADABLE = (OSError, RingUnreadable, DatabaseUnusable, DatabaseFault)
"""The exceptions for a folder or a database that cannot be used."""


def build_app(office: Office, health: Health) -> FastAPI:
    """Return the app on these parts. It does nothing before the first request."""
    app = FastAPI(title="Headcount", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.office = office
    app.router.routes.extend(health.routes())
    app.include_router(document.public)
    app.include_router(api.router, prefix=document.PREFIX)
    app.include_router(pages.router)
    app.mount("/static", KeptFiles(directory=STATIC), name="static")
    app.mount("/help/images", KeptFiles(directory=PICTURES), name="pictures")
    for kind in ANSWERS:
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    for fault in UNREADABLE:
        app.add_exception_handler(fault, _unreadable)
    app.add_exception_handler(Exception, _internal_error)
    app.add_middleware(Forms)
    app.add_middleware(Segments)
    app.add_middleware(Fence, answer=_answer)
    return app


class KeptFiles(StaticFiles):
    """Static files that browsers cache: the address in a page contains a version, so its content never changes."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        versioned = scope["query_string"].startswith(b"v=")
        answer.headers["cache-control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return answer


async def _answer(request: Request, error: Exception) -> Response:
    http_problem = as_http_problem(error)
    if http_problem.status == 405:
        http_problem.headers["Allow"] = ", ".join(_methods(request))
    if request.url.path.startswith(API):
        return http_problem.answer()
    return await pages.answer_of(request, http_problem)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes at this path; the router itself names only those of the first."""
    routes = [each for each in iter_route_contexts(request.app.routes) if each.methods]
    return sorted(
        {method for each in routes if each.path_regex.match(request.url.path) for method in each.methods or ()}
    )


async def _unreadable(request: Request, error: Exception) -> Response:
    """Answer that the tenant is broken, if it is. Any other error is an internal error."""
    office: Office = request.app.state.office
    tenant: str | None = request.path_params.get("tenant")
    token = await token_of(request) if tenant else None
    admitted = tenant and token and judge(Need.VIEWER, token, tenant) is Verdict.WELCOME
    if tenant and token and admitted and await office.soundness.look(tenant, error):
        return await _answer(request, broken_answer(office, token, tenant) or error)
    raise error


async def _disconnected(request: Request, error: Exception) -> Response:
    """The client is gone; this answer reaches no client."""
    return Response(status_code=400)


async def _internal_error(request: Request, error: Exception) -> Response:
    """Answer an internal error with a sentence; uvicorn logs the exception."""
    sentence = "Headcount failed with an internal error. The log has the cause."
    answer = await _answer(request, HttpProblem(500, sentence, code="internal_error"))
    answer.headers.update({**HEADERS, "cache-control": NOT_KEPT})  # this handler is outside of the middleware
    return answer
