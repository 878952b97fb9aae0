"""`/server`: the operator's view of the running server. It shows what runs, what waits, and what does not work."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from ground.words import as_sentence
from importer.queue.entry import Entry
from server.data_disk import free_at
from server.places import place_of
from server.tenants.access.bans import BanRefused
from server.web.access import Operating
from server.web.http_problem import HttpProblem
from server.web.office import Visit
from server.web.pages.companies import PARTS
from server.web.pages.notices import redirect
from server.web.pages.notifications import line_of
from server.web.pages.rendering import FORM_BYTES_MOST, render
from server.web.pages.sentences import sentence

router = APIRouter(prefix="/server", max_body_size=FORM_BYTES_MOST)

SHOWN = 50
"""The most imports, failed files, messages, bans and broken companies in each list."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data folder, in bytes."""

    free: int
    total: int

    @property
    def percent(self) -> int:
        """Return the share that is free, in percent."""
        return self.free * 100 // max(self.total, 1)


@router.get("")
async def show_server(request: Request, visit: Operating) -> Response:
    return await _page(request, visit)


@router.post("/bans/lift")
async def lift_ban(request: Request, visit: Operating, source: Annotated[str, Form()] = "") -> Response:
    """Lift the ban of a source. If it is not banned, show the page with the reason."""
    try:
        await visit.office.bans.lift(source)
    except BanRefused as error:
        text = f"{source} is not banned." if error.code == "not_banned" else as_sentence(error.message)
        return await _page(request, visit, HttpProblem(409, text, code=error.code))
    return redirect(request, "/server", "ban-lifted")


async def _page(request: Request, visit: Visit, problem: HttpProblem | None = None) -> Response:
    office = visit.office
    moved = await office.reader.newest_move()
    under_way = await office.reader.all_under_way(SHOWN)
    folder = place_of(office.settings).disk_folder()
    bans, broken = await office.bans.list(), sorted(office.soundness.broken.items())
    health, sending = await office.parts_up(), office.tenants.sending
    return render(
        request,
        "server.html",
        visit,
        status=problem.status if problem else 200,
        problem=problem,
        moved=moved,
        down=[PARTS.get(name, name) for name, up in health.items() if not up],
        under_way=under_way,
        waiting=await office.reader.queue_length(),
        doing=_doing,
        hooks=office.registry().hooks,
        runs_waiting=sum((await office.run_reader.counts()).values()),
        most=SHOWN,
        failures=await office.run_reader.newest_failures(SHOWN),
        owed=[line_of(message) for message in await office.outbox.owed(SHOWN)],
        lengths=await office.outbox.lengths(),
        inviting=office.overview.inviting(),
        mails=office.settings.smtp_url is not None,
        sending_off=await sending.is_off(),
        off_since=await sending.off_since(),
        bans=bans[:SHOWN],
        more_bans=max(0, len(bans) - SHOWN),
        broken=broken[:SHOWN],
        more_broken=max(0, len(broken) - SHOWN),
        has_disk=folder is not None,
        disk=await asyncio.to_thread(disk_of, folder) if folder else None,
    )


def disk_of(folder: Path) -> Disk | None:
    """Return the disk of `folder`; None if it cannot be read. Blocks."""
    try:
        return Disk(free_at(folder).size, shutil.disk_usage(folder).total)
    except OSError:
        return None


def _doing(entry: Entry) -> str:
    """Return what an import is doing, or why it waits, in one sentence."""
    return sentence(entry.report(), undoing=entry.undo is not None)
