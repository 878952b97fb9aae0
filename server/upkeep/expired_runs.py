"""Delete the runs of hooks that are older than the tenant's `retention_days`: copies, reports and rows.

The rows of the runs whose reports are in /results stay. Files are deleted before the row that names them, so a crash
in between leaves only what the next round deletes.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable

from engine.runs import RunStore
from ground.words import counted
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.worker.pruning import steps
from importer.worker.results import KEPT

log = logging.getLogger(__name__)


async def prune_runs(
    runs: RunStore, tenant: str, folder: TenantFolder, before: str, archive: Archive = LOCAL
) -> str | None:
    """Delete the runs that ended before `before` (RFC 3339). Raises OSError, TryAgain; then a part is left.

    Nothing is run again meanwhile. Returns when the first run ended that is not too old (RFC 3339); None if there is
    none.
    """
    async with archive.locked(folder, folder.runs):
        await _delete(runs, tenant, folder, before, archive)
    return await runs.first_end(tenant, before)


async def _delete(runs: RunStore, tenant: str, folder: TenantFolder, before: str, archive: Archive) -> None:
    old = await runs.ended_before(tenant, before)
    shown = {each for hook in {hook for _, hook in old} for each in await runs.newest_published(tenant, hook, KEPT)}
    if old:
        await archive.drop(folder, *folder.run_copies(run_id for run_id, _ in old))
        await asyncio.to_thread(_remove_reports, folder, [run_id for run_id, _ in old])
    going = [run_id for run_id, _ in old if run_id not in shown]
    for some in steps(going):
        await runs.delete(tenant, some)
    if going:
        log.info(
            "Deleted %s of %s that ended before %s.",
            *(counted(len(going), "run", "runs"), tenant, before),
            extra={"event": "runs_pruned", "tenant": tenant, "runs": len(going)},
        )


def _remove_reports(folder: TenantFolder, runs: Iterable[int]) -> None:
    for run_id in runs:
        shutil.rmtree(folder.run_reports(run_id), ignore_errors=True)
