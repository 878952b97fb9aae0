"""One import, from the kept file to its outcome. No loop, no queue: whoever calls decides when, and what comes after.

The file streams through in batches inside one write transaction. At its end the counts are known, the guard looks at
them, and the transaction is committed or rolled back: a dry run is the same path with a rollback, so what was
previewed and what is applied can't differ.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO

from importer.database import open_database, transaction
from importer.errors import MAX_FAULTS, FileError, Stopped, TryAgain
from importer.file.reader import CsvReader
from importer.model import (
    APPLIED,
    Counts,
    FileFacts,
    Guard,
    GuardReason,
    ImportState,
    Outcome,
    Problem,
    Severity,
    Written,
)
from importer.reconcile.addresses import Addresses
from importer.reconcile.applied import Applied
from importer.reconcile.leaving import most_are_leavers, no_admin_left
from importer.reconcile.links import Links
from importer.reconcile.plan import Wholeness, guard_message, guard_reasons, reasons_of_truncation
from importer.reconcile.reconcile import Reconciler
from importer.reconcile.repeated import notes_of
from importer.reconcile.roster import Roster
from importer.reconcile.spool import Spool
from importer.requests import Approval, Trial
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.search import adding_above
from importer.whole_file import look_first

BATCH_ROWS = 5000
CHUNK_BYTES = 256 * 1024
CACHE_KIB = 64 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One import to run. `file` is its own copy, which nothing changes; `now` is in UTC.

    `proven_whole`: its check-sum fits, so nothing else that speaks against its wholeness counts.
    """

    tenant: str
    import_id: int
    file: Path
    name: str
    dry_run: bool
    written: Written | None
    approval: Approval | None
    now: datetime
    proven_whole: bool = False
    trial: Trial | None = None


class _RollBack(Exception):  # noqa: N818 - how a transaction is told to end
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


async def run_import(
    job: Job,
    database: Path,
    settings: ImportSettings,
    messages: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
    batch_rows: int = BATCH_ROWS,
) -> Outcome:
    """Run `job` against the users in `database`; what it has to say is in the folder `messages` when it returns.

    An applied outcome is in the table `applied` of `database`, committed with its effects; with any other, nothing
    was changed. `progress` is told the part of the file that was read, 0 to 1; when `stopping` answers yes the import
    rolls back. Raises TryAgain (disk full, database busy) and Stopped; then too nothing was changed.
    """
    try:
        with job.file.open("rb") as file, Spool(messages, job.import_id, settings.delimiter) as spool:
            source = _Source(file, job)
            return await _run(job, source, database, settings, spool, progress, stopping, batch_rows)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TryAgain("disk_full", "the disk is full") from error
        raise


class _Source:
    """The file's bytes in chunks, hashed on the way."""

    def __init__(self, file: IO[bytes], job: Job) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.facts = FileFacts(job.name, job.file.stat().st_size)

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            yield chunk

    def read_out(self, rows: int | None) -> FileFacts:
        """Everything about the file, whether or not its rows were read to the end."""
        for _ in self.chunks():
            pass
        return replace(self.facts, sha256=self._hash.hexdigest(), rows=rows)


async def _run(
    job: Job,
    source: _Source,
    database: Path,
    settings: ImportSettings,
    spool: Spool,
    progress: Callable[[float], None],
    stopping: Callable[[], bool],
    batch_rows: int,
) -> Outcome:
    db = await open_database(database, "tenant")
    try:
        await db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        # Every id written was just looked up or made; checking each again doubles the cost of a new user.
        await db.execute("PRAGMA foreign_keys=OFF")
        async with transaction(db), adding_above(db):
            roster = Roster(db, job.import_id, identity_of(settings))
            links, addresses = Links(db, roster, job.import_id), Addresses(db, roster)
            tables = _Tables(roster, links, addresses, Applied(db, job.import_id))
            run = _Run(job, source, settings, spool, tables)
            await run.stream(progress, stopping, batch_rows)
            outcome = await run.conclude()
            await asyncio.to_thread(spool.keep)
            if outcome.state not in APPLIED or job.dry_run:
                raise _RollBack(outcome)
            await run.record(outcome)
        return outcome
    except _RollBack as rolled_back:
        return rolled_back.outcome
    except FileError as error:
        return await asyncio.to_thread(_failed, error, source, spool)
    finally:
        await db.close()


def _failed(error: FileError, source: _Source, spool: Spool, counts: Counts | None = None) -> Outcome:
    faults = [error, *error.further]
    spool.say_first(
        Problem(Severity.ERROR, each.code, each.message, each.line, each.column, each.value) for each in faults
    )
    spool.keep()
    where = f"line {error.line}: " if error.line and f"line {error.line} " not in error.message.lower() else ""
    message = f"{where}{error.message}{_and_more(len(error.further))}"
    facts = source.read_out(counts.rows if counts else None)
    return Outcome(ImportState.FAILED, counts or Counts(), facts, spool.first, message)


def _and_more(faults: int) -> str:
    if not faults:
        return ""
    most = " (only so many are told at once)" if faults + 1 >= MAX_FAULTS else ""
    return f" The file has {faults + 1} faults{most}: the messages tell each."


@dataclass(frozen=True, slots=True)
class _Tables:
    """What one import asks and writes, all in one transaction."""

    roster: Roster
    links: Links
    addresses: Addresses
    applied: Applied

    async def open(self) -> None:
        await self.roster.open()
        await self.links.open()
        await self.addresses.open()


class _Run:
    """The steps of one import inside its transaction.

    Theory of `conclude`: the guard judges what the import has done, not what it is going to do. So all that changes a
    user comes before it, and after it nothing is written but the record that the import is applied. Its steps can't
    change places:

    - Whether the last user of the last file is absent is asked first: `finish` deactivates absent users, and then an
      absent one looks like any leaver.
    - If every row is rejected there is nothing to finish, and no user is absent for it. But rows that wait for an
      address are judged by `finish` alone. So it runs if any waits, and the question is asked again after it.
    - Invitations come after `finish`, as they are read from what the import changed, addresses and leavers included.
    - That the file may not be whole is said once: by the guard if users would be deactivated for being absent, else
      by a warning, and so after the guard, with the warnings counted anew.
    - Whom a held import or a dry run touches is read from its changes, last: the rollback takes them along. The spool
      keeps it, as it is in files.
    - How many users are active is counted up from the start, as users are not counted again for it.
    """

    def __init__(self, job: Job, source: _Source, settings: ImportSettings, spool: Spool, tables: _Tables) -> None:
        self._job = job
        self._source = source
        self._settings = settings
        self._spool = spool
        self._tables = tables
        self._roster = tables.roster
        self._applied = tables.applied

    async def stream(self, progress: Callable[[float], None], stopping: Callable[[], bool], batch_rows: int) -> None:
        """Read the file to its end and write what it says. Raises FileError, TryAgain, Stopped."""
        self._reader = await asyncio.to_thread(
            CsvReader, self._source.chunks(), **self._settings.form, batch_rows=batch_rows
        )
        # As the settings say: for this transaction alone, if another identifier is tried.
        tried = self._job.trial is not None and "identifier" in self._job.trial.changes
        await self._roster.tell_apart(tried=tried)
        await self._tables.open()
        self._reconciler = Reconciler(
            self._reader,
            self._roster,
            self._tables.links,
            self._tables.addresses,
            self._spool,
            self._settings,
            self._job.now,
        )
        # Who tries a file wants to know all of it, whatever was said of the last one.
        await self._reconciler.open(() if self._job.dry_run else await self._applied.header_notes())
        while await self._reconciler.run_batch():
            progress(self._reader.bytes_read / max(1, self._source.facts.size))
            if stopping():
                raise Stopped("the server is stopping")

    async def conclude(self) -> Outcome:
        """All rows are in: links, absent users, the guard; and what it all comes to."""
        last = await self._applied.last()
        last_absent = last is not None and last.last_user is not None and await self._is_absent(last.last_user)
        counts = self._reconciler.counts
        if counts.rejected < counts.rows or self._reconciler.any_waits:
            await self._reconciler.finish()
            if self._settings.invitations != "off":
                counts.invitations = await self._applied.invite()
        else:
            self._reconciler.say_of_the_file()
        await self._look_at_all(counts)
        facts = await asyncio.to_thread(self._source.read_out, counts.rows)
        if counts.rejected == counts.rows:
            return self._every_row_rejected(facts)
        wholeness = Wholeness(self._reader.ends_with_newline, self._job.written, counts.rows, last, last_absent)
        vouched_for = self._reader.header.is_correction or self._job.proven_whole
        truncation = [] if vouched_for else reasons_of_truncation(wholeness, self._settings)
        guard, why = await self._guard(counts, truncation)
        if truncation and not counts.deactivated_absent:
            self._spool.say([_possibly_truncated(truncation)])
            counts.warnings = self._spool.warnings
        state = ImportState.HELD if guard else _state_of(counts)
        if guard or self._job.dry_run:
            async for touched in self._applied.touched(self._roster.identity, self._roster.line_of):
                await asyncio.to_thread(self._spool.touch, touched)
        active = self._roster.active_before + counts.created + counts.reactivated - counts.deactivated
        look = look_first(self._spool.whole_file, "before you decide" if guard and not self._job.dry_run else "")
        message = " ".join(each for each in (why, look) if each) or None
        return Outcome(state, counts, facts, self._spool.first, message, guard, active)

    async def record(self, outcome: Outcome) -> None:
        """The import is remembered as applied: after a crash, this is what decides whether it happened."""
        compared = not self._reader.header.is_correction
        last_user, header = await self._roster.last_active(), notes_of(self._reader.problems)
        await self._applied.record(outcome, self._job.now, last_user, header, compared=compared)

    async def _look_at_all(self, counts: Counts) -> None:
        """Say what no row shows: that most of a first file is ignored, and that no admin is left."""
        found = []
        if counts.ignored > 1 and counts.ignored * 2 > counts.rows and not self._roster.users_before:
            found.append(most_are_leavers(counts.ignored, counts.rows))
        if (counts.updated or counts.deactivated) and (admins := await self._applied.former_admins()):
            found.append(no_admin_left(admins))
        self._spool.say(found)
        counts.warnings = self._spool.warnings

    def _every_row_rejected(self, facts: FileFacts) -> Outcome:
        message = "Every row was rejected, so nothing was changed. Correct the rows as their messages say."
        problem = Problem(Severity.ERROR, "every_row_rejected", message)
        self._spool.say_first([problem])
        counts = Counts(rejected=facts.rows or 0, warnings=self._spool.warnings)
        return Outcome(ImportState.FAILED, counts, facts, self._spool.first, message)

    async def _is_absent(self, user_id: int) -> bool:
        users = await self._roster.load([user_id])
        active = user_id in users and users[user_id]["state"] == "active"
        return active and not self._roster.line_of(user_id)

    async def _guard(self, counts: Counts, truncation: list[str]) -> tuple[Guard | None, str | None]:
        """Whether this import is held, and why in a sentence.

        One that was approved shows all its reasons again, not only the new ones: it is they that the next approval
        waives, so that it ends the matter.
        """
        active, dry_run = self._roster.active_before, self._job.dry_run
        reasons = guard_reasons(counts, active, self._roster.users_before, bool(truncation), self._settings)
        approval = self._job.approval
        others = approval is not None and await self._applied.deactivates_others(approval.users)
        waived = approval.reasons if approval else ()
        if not others and all(reason in waived for reason in reasons):
            return None, None
        message = guard_message(reasons, counts, active, truncation, others=others, dry_run=dry_run)
        shown = tuple(reasons) or waived
        return Guard(shown, self._settings.max_deactivations_percent, active, counts.deactivated), message


def _state_of(counts: Counts) -> ImportState:
    if counts.rejected:
        return ImportState.COMPLETED_WITH_ERRORS
    return ImportState.COMPLETED if counts.changed else ImportState.UNCHANGED


def _possibly_truncated(reasons: list[str]) -> Problem:
    message = (
        f"The file may not be whole: {'; '.join(reasons)}. If it is, there is nothing to do; "
        "if not, export it and send it again."
    )
    return Problem(Severity.WARNING, GuardReason.POSSIBLY_TRUNCATED.value, message)
