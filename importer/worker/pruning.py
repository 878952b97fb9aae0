"""Delete what retention.py selects: in small steps, and not while an import of the tenant runs.

Copies of ended imports may be deleted at any time: only a download reads them.

An import's outcome is deleted before its history, so that an import whose history is incomplete cannot be undone.
Files are deleted before the row of the queue that names them. So a crash in between leaves only what the next run
deletes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from ground.moments import rfc3339
from ground.words import counted
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.queue.pause import Pause
from importer.queue.queue import Queue
from importer.users.memory import Memory
from importer.users.users import Users
from importer.worker.results import KEPT
from importer.worker.retention import FailedRun, copies_to_remove, effects_to_prune, imports_to_prune

log = logging.getLogger(__name__)

COPY = re.compile(r"([0-9]{1,18})\.csv")
RUN_COPY = re.compile(r"([0-9]{1,18})\.file")
STEP = 2000
"""The number of rows that one transaction deletes."""


class Busy(Exception):  # noqa: N818 - a state, not an error
    """An import of the tenant runs or is about to; the rest is pruned later."""


async def prune(
    queue: Queue,
    tenant: str,
    folder: TenantFolder,
    users: Users,
    *,
    retention_days: int,
    now: datetime,
    pause: Pause | None = None,
    archive: Archive = LOCAL,
) -> str | None:
    """Delete what is too old. Raises Busy and TryAgain; then a part is left for the next run.

    Imports that wait because of `pause`, the pause of the tenant at `now`, do not make it busy.
    Returns when the oldest import ended that is not too old (RFC 3339); None if there is none.
    """
    before = rfc3339(now - timedelta(days=retention_days))
    await _refuse_if_busy(queue, tenant, pause)
    effects = await _prune_history(queue, tenant, users, before, pause)
    spared = effects | await _shown(queue, tenant)
    past = await queue.past(tenant)
    going = imports_to_prune(past, spared, before)
    if going.files:
        await _remove_files(archive, folder, going.files)
    for some in steps(sorted(going.rows)):
        await queue.delete(tenant, some)
    if going.rows:
        log.info(
            "Deleted %s of %s that ended before %s.",
            *(counted(len(going.rows), "import", "imports"), tenant, before),
            extra={"event": "imports_pruned", "tenant": tenant, "imports": len(going.rows)},
        )
    return min((each.finished_at for each in past if each.finished_at and each.finished_at >= before), default=None)


async def trim_copies(
    queue: Queue,
    tenant: str,
    folder: TenantFolder,
    *,
    kept_bytes: int,
    failed_runs: Sequence[FailedRun] = (),
    archive: Archive = LOCAL,
) -> bool:
    """Delete the oldest copies of ended imports and failed runs until they take at most `kept_bytes`.

    A copy that has another name, such as the visible file, does not count and stays: deleting it frees no space. The
    copies of dry runs do not count either. Returns whether the copies would take too much if all of them lost their
    other names. Raises OSError, TryAgain.
    """
    sizes, linked = await _sizes(archive, folder, folder.uploads, COPY)
    run_sizes, run_linked = await _run_sizes(archive, folder, failed_runs)
    if _total(sizes, linked, run_sizes, run_linked) <= kept_bytes:
        return False
    past = await queue.past(tenant)
    for each in past:
        if each.dry_run:
            sizes.pop(each.id, None)
            linked.pop(each.id, None)
    if _total(sizes, run_sizes) <= kept_bytes:
        return _total(sizes, linked, run_sizes, run_linked) > kept_bytes
    going = copies_to_remove(past, sizes, kept_bytes, failed_runs, run_sizes, linked)
    await archive.drop(folder, *map(folder.copy, going.imports), *folder.run_copies(going.runs))
    if count := len(going.imports) + len(going.runs):
        log.info(
            "Deleted %s of %s: the kept files took more than kept_bytes together.",
            *(counted(count, "kept file", "kept files"), tenant),
            extra={
                "event": "copies_removed",
                "tenant": tenant,
                "imports": len(going.imports),
                "runs": len(going.runs),
            },
        )
    return True


async def _run_sizes(
    archive: Archive, folder: TenantFolder, failed: Sequence[FailedRun]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the bytes of the copies of these runs, by run, as `_sizes` does."""
    if not failed:
        return {}, {}
    ids = {each.id for each in failed}
    alone, linked = await _sizes(archive, folder, folder.runs, RUN_COPY)
    return {key: alone[key] for key in alone.keys() & ids}, {key: linked[key] for key in linked.keys() & ids}


async def _sizes(
    archive: Archive, folder: TenantFolder, place: Path, copy: re.Pattern[str]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the bytes of the copies in a folder by id: of those without another name, and of those with one."""
    alone: dict[int, int] = {}
    linked: dict[int, int] = {}
    for name, found in (await archive.stored(folder, place)).items():
        if number := copy.fullmatch(name):
            (linked if found.linked else alone)[int(number[1])] = found.size
    return alone, linked


def _total(*sizes: dict[int, int]) -> int:
    return sum(sum(each.values()) for each in sizes)


async def _refuse_if_busy(queue: Queue, tenant: str, pause: Pause | None) -> None:
    if await queue.is_busy(tenant, pause):
        raise Busy


async def _prune_history(queue: Queue, tenant: str, users: Users, before: str, pause: Pause | None) -> set[int]:
    """Delete old outcomes and their history; return the imports whose outcomes are kept."""
    async with users.memory() as memory:
        kept = await memory.prune_effects(lambda effects: effects_to_prune(effects, before))
        for import_id in await memory.imports_with_history():
            if import_id not in kept:
                await _prune_changes(queue, tenant, memory, import_id, pause)
    return kept


async def _prune_changes(queue: Queue, tenant: str, memory: Memory, import_id: int, pause: Pause | None) -> None:
    """Delete the history of an import whose outcome is deleted."""
    more = True
    while more:
        await _refuse_if_busy(queue, tenant, pause)
        more = await memory.prune_changes(import_id, STEP)


async def _shown(queue: Queue, tenant: str) -> set[int]:
    """Return the imports whose reports are in /results."""
    shown = await queue.newest_published(tenant, KEPT)
    return {each for ids in shown.values() for each in ids}


async def _remove_files(archive: Archive, folder: TenantFolder, imports: Collection[int]) -> None:
    """Delete the uploads and messages of these imports, whatever their suffix."""
    for place in (folder.uploads, folder.messages):
        numbers = ((name, re.match(r"([0-9]+)\.", name)) for name in await archive.names(folder, place))
        going = [place / name for name, number in numbers if number and int(number[1]) in imports]
        if going:
            await archive.drop(folder, *going)


def steps(ids: list[int]) -> Iterator[list[int]]:
    """Yield the ids in parts that one transaction deletes."""
    rest = iter(ids)
    while some := list(islice(rest, STEP)):
        yield some
