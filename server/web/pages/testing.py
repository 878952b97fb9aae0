"""`/try`: send a file. It is dropped on the page and tested; the page of the test has the button that sends it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ground.refusals import Refusal
from importer.requests import Sender
from server.web.access import Looking, Owning
from server.web.http_problem import HttpProblem, as_http_problem
from server.web.multipart import FormFile
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import render

router = APIRouter(prefix="/tenants/{tenant}/try")


@router.get("")
async def ask(request: Request, visit: Looking) -> Response:
    return await _form(request, visit)


@router.post("")
async def test_file(request: Request, visit: Owning) -> Response:
    """Redirect to the page of the dry run. If the file is refused, show the form again with the reason."""
    try:
        file = FormFile(request, "file")
        try:
            name = await file.name()
            number = await visit.office.trials.of_file(
                visit.tenant, name, file.chunks(), visit.token.bearer, sender=Sender(visit.token.name)
            )
        except (HttpProblem, Refusal):
            await file.drain()
            raise
    except (HttpProblem, Refusal) as error:
        return await _form(request, visit, as_http_problem(error))
    except ClientDisconnect:
        return Response(status_code=400)  # the client is gone
    return redirect(request, f"/tenants/{visit.tenant}/imports/{number}", "testing")


async def _form(request: Request, visit: Visit, http_problem: HttpProblem | None = None) -> Response:
    settings = await visit.settings()
    return render(
        request,
        "file-test.html",
        visit,
        status=http_problem.status if http_problem else 200,
        problem=http_problem,
        settings=settings,
    )
