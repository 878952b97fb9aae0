"""Run one import, from the stored file to its outcome. The caller decides when to run it, and what to do next.

The file is read in batches inside one write transaction. At the end the guard judges the counts, and the transaction
is committed or rolled back. A dry run is the same path with a rollback: its result cannot differ from the import's.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from importer.apart import apart
from importer.errors import MAX_FAULTS, FileError, TryAgain
from importer.file.blocks import Unsure
from importer.file.sidebyside import PIECES, Pieces
from importer.messages.spool import Spool
from importer.model import (
    APPLIED,
    Counts,
    ImportState,
    Outcome,
    Problem,
    Severity,
)
from importer.reconcile.job import Job, Source
from importer.reconcile.steps import Sizes, Steps
from importer.reconcile.tables import Tables
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.users import Users

BATCH_ROWS = 5000
BESIDE_BYTES = 24 * 1024 * 1024
"""A first file of this size takes longer to read than a process takes to start."""


class _RollBack(Exception):  # noqa: N818 - ends a transaction
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


async def run_import(
    job: Job,
    users: Users,
    settings: ImportSettings,
    messages: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
    batch_rows: int = BATCH_ROWS,
    pieces: Pieces | None = PIECES,
    beside_bytes: int = BESIDE_BYTES,
) -> Outcome:
    """Run `job` on these `users`, and return its outcome; the messages are then in the folder `messages`.

    An applied outcome is stored with the users and committed with its effects; any other outcome changed nothing.
    Work after the commit runs in a thread that the caller does not wait for. `progress` gets the share of the file
    that was read, 0 to 1; if `stopping` returns true, the import rolls back. Both are called in another thread. The
    file is cut into `pieces` to compare it with the previous one; without them it is read alone, with the same
    result. If all users are new, a second process reads a file of `beside_bytes` or more.
    Raises TryAgain (disk full, database busy), DatabaseUnusable and Stopped; then nothing was changed.
    """
    sizes = Sizes(batch_rows, beside_bytes, pieces)
    left = ExitStack()
    work = partial(_import, job, users, settings, messages, progress, stopping, sizes, left)
    return await apart(work, f"import {job.import_id} of {job.tenant}", left.close)


async def _import(
    job: Job,
    users: Users,
    settings: ImportSettings,
    messages: Path,
    progress: Callable[[float], None],
    stopping: Callable[[], bool],
    sizes: Sizes,
    left: ExitStack,
) -> Outcome:
    """Run the import; `left` gets the work to do after its end."""
    try:
        for pieces in (sizes.pieces, None):
            with (
                job.file.open("rb") as file,
                Spool(messages, job.import_id, settings.delimiter) as spool,
                suppress(Unsure),
            ):
                source, cut = Source(file, job.name), replace(sizes, pieces=pieces)
                return await _run(job, source, users, settings, spool, progress, stopping, cut, left)
        raise AssertionError("a file that is read alone is never unsure")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TryAgain("disk_full", "the disk is full") from error
        raise


async def _run(
    job: Job,
    source: Source,
    users: Users,
    settings: ImportSettings,
    spool: Spool,
    progress: Callable[[float], None],
    stopping: Callable[[], bool],
    sizes: Sizes,
    left: ExitStack,
) -> Outcome:
    try:
        async with users.importing(job.import_id, identity_of(settings), left.callback) as keeps:
            run = Steps(job, source, settings, spool, Tables.over(keeps, settings), sizes)
            try:
                await run.stream(progress, stopping)
            finally:
                run.close()
            outcome = await run.conclude()
            await asyncio.to_thread(spool.keep)
            await job.keep()
            if outcome.state not in APPLIED or job.dry_run:
                raise _RollBack(outcome)
            await run.record(outcome)
        return outcome
    except _RollBack as rolled_back:
        return rolled_back.outcome
    except FileError as error:
        failed = await asyncio.to_thread(_failed, error, source, spool)
        await job.keep()
        return failed


def _failed(error: FileError, source: Source, spool: Spool, counts: Counts | None = None) -> Outcome:
    faults = [error, *error.further]
    spool.say_first(
        Problem(Severity.ERROR, each.code, each.message, each.line, each.column, each.value) for each in faults
    )
    spool.keep()
    named = error.line is None or re.search(rf"\bline {error.line}\b", error.message, re.IGNORECASE)
    where = "" if named else f"line {error.line}: "
    message = f"{where}{error.message}{_and_more(len(error.further))}"
    facts = source.read_out(counts.rows if counts else None)
    return Outcome(ImportState.FAILED, counts or Counts(), facts, spool.first, message)


def _and_more(faults: int) -> str:
    if not faults:
        return ""
    found = f"at least {faults + 1}" if faults + 1 >= MAX_FAULTS else str(faults + 1)
    return f" The file has {found} errors: see the messages."
