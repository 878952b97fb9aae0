"""Takes away what retention.py says is not kept any longer: in small steps, and not while an import of it runs.
Copies of imports that ended may go at any time: nothing reads them again but who asks for the file.

What an import came to is forgotten before its history, so that what is half gone can't be undone any more; files go
before the row of the queue that names them. So a crash in between leaves only what the next time takes away.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from ground.moments import rfc3339
from importer.folder import TenantFolder
from importer.queue.queue import Queue
from importer.users.memory import Memory
from importer.users.users import Users
from importer.worker.results import KEPT
from importer.worker.retention import copies_to_remove, effects_to_prune, imports_to_prune

log = logging.getLogger(__name__)

COPY = re.compile(r"([0-9]{1,18})\.csv")
STEP = 2000
"""So many rows go in one transaction."""


class Busy(Exception):  # noqa: N818 - what is the case
    """An import of the tenant runs, or is about to: the rest can be pruned later."""


async def prune(
    queue: Queue, tenant: str, folder: TenantFolder, users: Users, *, retention_days: int, now: datetime
) -> str | None:
    """Take away what is too old. Raises Busy, TryAgain; then some of it is left for the next time.

    Returns when the oldest import ended that is not too old (RFC 3339), None if there is none.
    """
    before = rfc3339(now - timedelta(days=retention_days))
    await _refuse_if_busy(queue, tenant)
    effects = await _prune_history(queue, tenant, users, before)
    spared = effects | await _shown(queue, tenant)
    past = await queue.past(tenant)
    going = imports_to_prune(past, spared, before)
    await asyncio.to_thread(_remove_files, folder, going.files)
    for some in _steps(sorted(going.rows)):
        await queue.forget(tenant, some)
    if going.rows:
        log.info(
            "Forgot %d imports of %s that ended before %s.",
            *(len(going.rows), tenant, before),
            extra={"event": "imports_pruned", "tenant": tenant, "imports": len(going.rows)},
        )
    return min((each.finished_at for each in past if each.finished_at and each.finished_at >= before), default=None)


async def trim_copies(queue: Queue, tenant: str, folder: TenantFolder, *, kept_bytes: int) -> bool:
    """Remove the oldest copies of imports that ended, until they take `kept_bytes` at most. Raises OSError, TryAgain.

    A copy that has another name, such as the visible file, does not count and stays: its room would not be freed.
    Returns whether there would be too many if all those lost their other names.
    """
    sizes, linked = await asyncio.to_thread(_sizes, folder.uploads)
    if sum(sizes.values()) <= kept_bytes:
        return sum(sizes.values()) + linked > kept_bytes
    going = copies_to_remove(await queue.past(tenant), sizes, kept_bytes)
    await asyncio.to_thread(_remove_copies, folder, going)
    if going:
        log.info(
            "Removed %d kept files of %s: they took more than kept_bytes together.",
            *(len(going), tenant),
            extra={"event": "copies_removed", "tenant": tenant, "imports": len(going)},
        )
    return True


def _sizes(uploads: Path) -> tuple[dict[int, int], int]:
    """The bytes of the copies that have no other name, by import; and of those together that have one."""
    found, linked = {}, 0
    with suppress(FileNotFoundError), os.scandir(uploads) as entries:
        for entry in entries:
            number = COPY.fullmatch(entry.name)
            with suppress(FileNotFoundError):
                facts = entry.stat(follow_symlinks=False)
                if number and stat.S_ISREG(facts.st_mode):
                    if facts.st_nlink == 1:
                        found[int(number[1])] = facts.st_size
                    else:
                        linked += facts.st_size
    return found, linked


def _remove_copies(folder: TenantFolder, imports: Iterable[int]) -> None:
    for import_id in imports:
        folder.copy(import_id).unlink(missing_ok=True)


async def _refuse_if_busy(queue: Queue, tenant: str) -> None:
    if await queue.is_busy(tenant):
        raise Busy


async def _prune_history(queue: Queue, tenant: str, users: Users, before: str) -> set[int]:
    """Returns the imports whose effects are still remembered."""
    async with users.memory() as memory:
        kept = await memory.forget_effects(lambda effects: effects_to_prune(effects, before))
        for import_id in await memory.imports_with_history():
            if import_id not in kept:
                await _forget_changes(queue, tenant, memory, import_id)
    return kept


async def _forget_changes(queue: Queue, tenant: str, memory: Memory, import_id: int) -> None:
    """An import's history, once its outcome is gone."""
    more = True
    while more:
        await _refuse_if_busy(queue, tenant)
        more = await memory.forget_changes(import_id, STEP)


async def _shown(queue: Queue, tenant: str) -> set[int]:
    """The imports whose reports are in /results."""
    shown = await queue.newest_published(tenant, KEPT)
    return {each for ids in shown.values() for each in ids}


def _remove_files(folder: TenantFolder, imports: Collection[int]) -> None:
    """The uploads and messages of these imports, whatever their names end in."""
    for place in (folder.uploads, folder.messages):
        for file in place.iterdir() if place.is_dir() else ():
            number = re.match(r"([0-9]+)\.", file.name)
            if number and int(number[1]) in imports:
                file.unlink(missing_ok=True)


def _steps(ids: list[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while some := list(islice(rest, STEP)):
        yield some
