"""Repair the runs of hooks at a start: unfinished arrivals, runs that were running, and files without a run.

Works before clients are let in. Running it twice, or being killed during it, does no harm.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from engine.runs import Run, RunStore
from importer.archive import LOCAL, Archive
from importer.folder import FolderOf, TenantFolder
from importer.model import WAITING, ImportState
from importer.worker.recovery import is_as_left
from server.runs.ends import ATTEMPTS, End, Failed

log = logging.getLogger(__name__)

GAVE_UP = f"The server stopped {ATTEMPTS} times during this run. Tell the operator: the log has the cause."
INTERRUPTED = "The upload was interrupted (the server stopped); no hook got the file. Send it again."
STOPPED = f"the server stopped during {ATTEMPTS} attempts"

COPY_NEEDED = WAITING | {ImportState.FAILED}
"""The states of a run whose copy is kept: it is read, or may be run again."""


class Ends(Protocol):
    """Ends runs, as `server.runs.ending.Ending` does."""

    async def end_upload(self, run: Run, state: ImportState, message: str) -> None: ...

    async def finish(self, run: Run, end: End) -> None: ...


async def recover_runs(
    store: RunStore,
    ending: Ends,
    folder_of: FolderOf,
    runs: Iterable[Run] | None = None,
    archive: Archive = LOCAL,
) -> None:
    """Bring every run into its true state, or only `runs`, those of some tenants that a start has found.

    Raises TryAgain if the store cannot be written. Then it can be called again with the same runs.
    """
    for run in await store.cut_off() if runs is None else runs:
        if not is_as_left(run, await store.get(*run.key)):
            continue
        if run.state is ImportState.ARRIVING:
            await _keep_promise(store, ending, archive, folder_of(run.tenant), run)
        elif run.state is ImportState.RUNNING:
            await _take_up(store, ending, run)


async def remove_run_leftovers(store: RunStore, tenant: str, folder: TenantFolder, archive: Archive = LOCAL) -> None:
    """Delete the copies of `tenant` that no run needs, and reports of interrupted attempts.

    The reports of an ended run stay until /results has them.
    """
    owed: set[int] | None = None
    names = {*await archive.names(folder, folder.runs), *(entry.name for entry in _folders(folder.runs))}
    for entry in sorted(folder.runs / name for name in names):
        owed = {run.id for run in await store.unpublished(tenant)} if owed is None else owed
        number = re.match(r"([0-9]{1,18})\.", entry.name)
        run = await store.get(tenant, int(number[1])) if number else None
        if not _is_needed(entry, folder, run, owed):
            await _remove(archive, folder, entry)


async def _keep_promise(store: RunStore, ending: Ends, archive: Archive, folder: TenantFolder, run: Run) -> None:
    if await archive.was_published(folder, folder.run_copy(run.id), folder.visible(run.path)):
        await store.landed(*run.key)
        log.info(
            "The file of run %d of %s for %s was uploaded before the server stopped; it is queued.",
            *(run.id, run.hook, run.tenant),
            extra={"event": "run_recovered", "hook": run.hook, "tenant": run.tenant, "run_id": run.id},
        )
    else:
        await ending.end_upload(run, ImportState.ABORTED, INTERRUPTED)


async def _take_up(store: RunStore, ending: Ends, run: Run) -> None:
    """Queue a run again whose attempt the stop cut off; that attempt counts."""
    if run.attempts >= ATTEMPTS:
        await ending.finish(run, Failed(GAVE_UP, STOPPED))
    else:
        await store.requeue(run, message=None, error=run.error, not_before=0.0)


def _is_needed(entry: Path, folder: TenantFolder, run: Run | None, owed: Collection[int]) -> bool:
    if run is None:
        return False
    if entry == folder.run_copy(run.id):
        return run.state in COPY_NEEDED
    return entry == folder.run_reports(run.id) and run.id in owed


def _folders(place: Path) -> list[Path]:
    """Return the folders of reports: they are of this process or, if the folder stays, of those before it."""
    return [entry for entry in place.iterdir() if entry.is_dir()] if place.is_dir() else []


async def _remove(archive: Archive, folder: TenantFolder, entry: Path) -> None:
    """Delete a file, or a folder of reports; one that cannot be deleted now is deleted by a later start."""
    with suppress(OSError):
        if entry.is_dir() and not entry.is_symlink():
            await asyncio.to_thread(shutil.rmtree, entry)
        else:
            await archive.drop(folder, entry)
