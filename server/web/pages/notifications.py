"""`/notifications`: the newest mails and webhooks of a company, their addresses, and a test of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine.outbox import Message
from importer.queue.notices import Channel
from server.notify.herald import destination
from server.web.access import Looking, Owning
from server.web.http_problem import HttpProblem
from server.web.office import Visit
from server.web.pages.notices import redirect
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.sentences import capital

router = APIRouter(prefix="/tenants/{tenant}/notifications", max_body_size=FORM_BYTES_MOST)

SHOWN = 100
CHANNELS = {Channel.MAIL: "Mail", Channel.WEBHOOK: "Webhook"}
STATES = {"waiting": "Waiting", "sent": "Sent", "given_up": "Not sent: given up", "dropped": "Not sent: not wanted"}
SENTENCES = {
    "no_notifications": "There is no address yet. Enter an email address or a webhook in the settings first."
}
"""The sentences of problems by code, if they differ from those of the API."""

_SUBJECT = re.compile(r"^\[Headcount\] \S+: ")
_ABOUT = re.compile(r"^(import|run) (\d+) ")
PAGES = {"import": "imports", "run": "files"}
"""The pages of imports and of runs of hooks, by the first word of the topic."""


@dataclass(frozen=True, slots=True)
class Line:
    """One notification in the list. `about` is the page of its import or file, such as `imports/7`; None: none."""

    message: Message
    channel: str
    subject: str
    state: str
    about: str | None


@router.get("")
async def list_notifications(request: Request, visit: Looking) -> Response:
    return await _page(request, visit)


@router.post("/test")
async def send_test(request: Request, visit: Owning) -> Response:
    """Queue a test to all addresses. If that is not possible, show the page with the reason."""
    try:
        await visit.send_test()
    except HttpProblem as problem:
        return await _page(request, visit, problem)
    return redirect(request, f"/tenants/{visit.tenant}/notifications", "test-queued")


async def _page(request: Request, visit: Visit, problem: HttpProblem | None = None) -> Response:
    settings = await visit.settings()
    messages = await visit.office.outbox.newest(visit.tenant, SHOWN)
    return render(
        request,
        "notifications.html",
        visit,
        status=problem.status if problem else 200,
        problem=SENTENCES.get(problem.code or "", problem.detail) if problem else None,
        lines=[line_of(message) for message in messages],
        most=SHOWN if len(messages) == SHOWN else None,
        addresses={CHANNELS[channel]: destination(settings, channel) for channel in Channel},
        mails=visit.office.settings.smtp_url is not None,
        sending_off=await visit.office.tenants.sending.is_off(),
    )


def line_of(message: Message) -> Line:
    """Return a notification as the list shows it. Pure."""
    subject = str(message.content.get("subject") or message.content.get("type") or message.topic)
    about = _ABOUT.match(message.topic)
    return Line(
        message,
        CHANNELS[message.channel],
        capital(_SUBJECT.sub("", subject)),
        STATES.get(message.state, message.state),
        f"{PAGES[about[1]]}/{about[2]}" if about else None,
    )
