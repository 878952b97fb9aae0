"""Everything that is answered over HTTP, put together: health, the API, the pages, and what wraps them all."""

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
from server.web.access import Need, Verdict, judge, token_of, told_broken
from server.web.api import document
from server.web.forms import Forms
from server.web.health import Health
from server.web.not_done import NotDone, as_not_done
from server.web.office import Office
from server.web.same_origin import API, Fence
from server.web.segments import Segments

STATIC = Path(str(resources.files("server.web.pages"))) / "static"

TOLD = (NotDone, HTTPException, RequestValidationError, Refusal)
"""The exceptions that are answers: each becomes a NotDone, told as JSON or as a page."""

CAN_NOT_READ = (OSError, RingUnreadable, DatabaseUnusable, DatabaseFault)
"""What is raised where a folder or a database cannot be used."""


def build_app(office: Office, health: Health) -> FastAPI:
    """The app on these parts. Nothing is done before the first request."""
    app = FastAPI(title="Headcount", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.office = office
    app.router.routes.extend(health.routes())
    app.include_router(document.public)
    app.include_router(api.router, prefix=document.PREFIX)
    app.include_router(pages.router)
    app.mount("/static", KeptFiles(directory=STATIC), name="static")
    for kind in TOLD:
        app.add_exception_handler(kind, _tell)
    app.add_exception_handler(ClientDisconnect, _left)
    for fault in CAN_NOT_READ:
        app.add_exception_handler(fault, _can_not_read)
    app.add_exception_handler(Exception, _fault)
    app.add_middleware(Forms)
    app.add_middleware(Segments)
    app.add_middleware(Fence)
    return app


class KeptFiles(StaticFiles):
    """Files that browsers keep: what is in one never changes under the address that pages give it."""

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        versioned = scope["query_string"].startswith(b"v=")
        answer.headers["cache-control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return answer


async def _tell(request: Request, error: Exception) -> Response:
    told = as_not_done(error)
    if told.status == 405:
        told.headers["Allow"] = ", ".join(_methods(request))
    if request.url.path.startswith(API):
        return told.answer()
    return await pages.tell(request, told)


def _methods(request: Request) -> list[str]:
    """The methods at this path, of all routes: whatever routes names only those of the first."""
    routes = [each for each in iter_route_contexts(request.app.routes) if each.methods]
    return sorted(
        {method for each in routes if each.path_regex.match(request.url.path) for method in each.methods or ()}
    )


async def _can_not_read(request: Request, error: Exception) -> Response:
    """A broken tenant is a matter for the operator; anything else is a fault."""
    office: Office = request.app.state.office
    tenant: str | None = request.path_params.get("tenant")
    token = await token_of(request) if tenant else None
    admitted = tenant and token and judge(Need.VIEWER, token, tenant) is Verdict.WELCOME
    if tenant and token and admitted and await office.soundness.look(tenant, error):
        return await _tell(request, told_broken(office, token, tenant) or error)
    raise error


async def _left(request: Request, error: Exception) -> Response:
    """Whoever sent something has gone; nobody hears this."""
    return Response(status_code=400)


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours: the log has it, whoever asked has a sentence."""
    return await _tell(request, NotDone(500, "Headcount made a mistake; its log says which.", code="internal_error"))
