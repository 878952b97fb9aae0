"""Repair the queue when a server has gone: unfinished arrivals, imports that were running, copies without an import.

Runs before the server listens, and for other servers' imports at any time. Running it twice, also by two servers at
once, or being killed during it, does no harm.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Protocol

from ground.moments import from_rfc3339, utc_now
from importer.archive import LOCAL, Archive
from importer.folder import FolderOf, TenantFolder
from importer.model import Counts, ImportState, Outcome, Problem, Severity
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.users.users import Users, UsersOf
from importer.worker.closing import FAILED_KEPT, Closing, copy_is_needed

log = logging.getLogger(__name__)

STARTS = 5
"""An import that was started this many times and never ended is given up."""

GAVE_UP = (
    f"The server stopped {STARTS} times during this import; nothing was changed. "
    "Tell the operator: the log has the cause (often memory). Then send it again."
)
INTERRUPTED = "The upload was interrupted (the server stopped); nothing was imported. Send it again."

LATELY = timedelta(hours=1)

KnownEnd = Callable[[Users, Entry], Awaitable[Outcome | None]]


async def recover(
    queue: Queue,
    closing: Closing,
    folder_of: FolderOf,
    users_of: UsersOf,
    known_end: KnownEnd,
    entries: Iterable[Entry] | None = None,
    archive: Archive = LOCAL,
) -> None:
    """Bring every import into its true state, or only `entries`, the imports of some tenants, if given.

    `known_end` returns how an import ended that was applied. Raises TryAgain if the queue cannot be written. Then it
    can be called again with the same imports. Two servers may do it at once: one of them changes each import.
    """
    for entry in await queue.cut_off() if entries is None else entries:
        if not is_as_left(entry, await queue.get(*entry.key)):
            continue
        if entry.state is ImportState.ARRIVING:
            await _keep_promise(queue, closing, archive, folder_of(entry.tenant), entry)
        elif entry.state is ImportState.RUNNING:
            await _take_up(queue, closing, entry, await known_end(users_of(entry.tenant), entry))


class Left(Protocol):
    """An import, or a run of another hook, as a start found it."""

    @property
    def state(self) -> ImportState: ...

    @property
    def uploaded_at(self) -> str: ...

    @property
    def started_at(self) -> str | None: ...


def is_as_left(left: Left, now: Left | None) -> bool:
    """Return whether a start still has to take up what it found. `now` is stored under its id; None: nothing is."""
    if now is None:
        return False
    return (now.state, now.uploaded_at, now.started_at) == (left.state, left.uploaded_at, left.started_at)


async def remove_leftovers(
    queue: Queue, tenant: str, folder: TenantFolder, archive: Archive = LOCAL, *, others: bool = False
) -> None:
    """Delete the kept uploads of `tenant` that no import needs, and unfinished messages of interrupted imports.

    `others`: other servers may run, and still need the file of a test that ended lately.
    """
    for unfinished in folder.messages.glob(".*.new"):
        unfinished.unlink(missing_ok=True)
    for scratch in folder.messages.glob(".advice-*"):
        shutil.rmtree(scratch, ignore_errors=True)
    failed = await queue.failed_before(tenant, FAILED_KEPT)
    for name in await archive.names(folder, folder.uploads):
        copy = folder.uploads / name
        entry = await queue.get(tenant, int(copy.stem)) if copy.stem.isdecimal() else None
        lately = others and entry is not None and _ended_lately(entry)
        if not lately and (entry is None or not copy_is_needed(entry) or _too_old(entry, failed)):
            await archive.drop(folder, copy)


def _ended_lately(entry: Entry) -> bool:
    return bool(entry.finished_at) and utc_now() - from_rfc3339(entry.finished_at or "") < LATELY


def _too_old(entry: Entry, failed: int | None) -> bool:
    return entry.state is ImportState.FAILED and failed is not None and entry.id <= failed


async def _keep_promise(queue: Queue, closing: Closing, archive: Archive, folder: TenantFolder, entry: Entry) -> None:
    copy = folder.copy(entry.id)
    # The copy of a test was complete when the import was promised, and is its only file.
    complete = (
        await archive.find(folder, copy) is not None
        if entry.trial
        else await archive.was_published(folder, copy, folder.visible(entry.path))
    )
    if complete:
        await queue.landed(*entry.key)
        log.info(
            "Import %d of %s was uploaded before the server stopped; it is queued.",
            *(entry.id, entry.tenant),
            extra={"event": "upload_recovered", "tenant": entry.tenant, "import_id": entry.id},
        )
    else:
        await closing.end_upload(entry, ImportState.ABORTED, INTERRUPTED)


async def _take_up(queue: Queue, closing: Closing, entry: Entry, outcome: Outcome | None) -> None:
    if outcome is None and entry.attempts >= STARTS:
        problem = Problem(Severity.ERROR, "gave_up", GAVE_UP)
        outcome = Outcome(ImportState.FAILED, Counts(), entry.file, (problem,), GAVE_UP)
    if outcome:
        await closing.finish(entry, outcome)
    else:
        await queue.requeue(*entry.key, counted=True, claim=entry.claim)
