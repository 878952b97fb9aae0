"""One attempt of a run: what its hook gets, and the wait for its end."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from engine.runs import Run
from importer.folder import TenantFolder
from server.runs import results
from server.runs.ends import End
from server.runs.registry import Attempt

CANCEL_S = 10.0
"""The time that a canceled hook has to end. The next start runs it again if it takes longer."""


def prepare(folder: TenantFolder, run: Run) -> tuple[str, Path]:
    """Return the SHA-256 of the copy, and the empty folder for reports. Raises OSError."""
    with folder.run_copy(run.id).open("rb") as copy:
        sha256 = run.sha256 or hashlib.file_digest(copy, "sha256").hexdigest()
    return sha256, results.make_room(folder, run.id)


def attempt_of(run: Run, settings: dict[str, Any], copy: Path, reports: Path) -> Attempt:
    """Return the attempt of a run that was claimed."""
    return Attempt(
        tenant=run.tenant,
        run_id=run.id,
        hook=run.hook,
        path=run.path,
        size=run.size,
        sha256=run.sha256 or "",
        uploaded_at=run.uploaded_at,
        attempt=run.attempts,
        settings=settings,
        copy=copy,
        reports=reports,
    )


async def ended_or_stopped(delivery: asyncio.Task[End], stopping: asyncio.Event) -> None:
    """Wait for the end of a delivery. After `stopping` it has `CANCEL_S` to end."""
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([delivery, stop], return_when=asyncio.FIRST_COMPLETED)
        if not delivery.done():
            await asyncio.wait([delivery], timeout=CANCEL_S)
    finally:
        stop.cancel()
