"""One import, from the kept file to its outcome. No loop, no queue: whoever calls decides when, and what comes after.

The file streams through in batches inside one write transaction. At its end the counts are known, the guard looks at
them, and the transaction is committed or rolled back: a dry run is the same path with a rollback, so what was
previewed and what is applied can't differ.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import aiosqlite

from ground.moments import rfc3339
from importer.database import open_database, transaction
from importer.errors import FileError, Stopped, TryAgain
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
from importer.reconcile.inviting import invite
from importer.reconcile.links import Links
from importer.reconcile.plan import LastApplied, Wholeness, guard_message, guard_reasons, reasons_of_truncation
from importer.reconcile.reconcile import Reconciler
from importer.reconcile.roster import Roster
from importer.reconcile.spool import Spool
from importer.requests import Approval, Trial
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.search import adding_above
from importer.users.switching import refuse_switched, switch_identity

BATCH_ROWS = 5000
CHUNK_BYTES = 256 * 1024
CACHE_KIB = 64 * 1024
TOUCHED_BATCH = 1000


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


async def already_applied(database: Path, import_id: int) -> Outcome | None:
    """The outcome of this import if its effects are in `database`; None if they are not."""
    db = await open_database(database, "tenant")
    try:
        rows = list(await db.execute_fetchall("SELECT outcome FROM applied WHERE import_id = ?", (import_id,)))
    finally:
        await db.close()
    return Outcome.from_json(json.loads(rows[0][0])) if rows else None


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
            run = _Run(job, db, source, settings, spool)
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
    problem = Problem(Severity.ERROR, error.code, error.message, error.line, error.column, error.value)
    spool.say([problem])
    spool.keep()
    where = f"line {error.line}: " if error.line and f"line {error.line} " not in error.message.lower() else ""
    message = f"{where}{error.message}"
    facts = source.read_out(counts.rows if counts else None)
    return Outcome(ImportState.FAILED, counts or Counts(), facts, tuple(spool.first), message)


class _Run:
    """The steps of one import inside its transaction."""

    def __init__(
        self, job: Job, db: aiosqlite.Connection, source: _Source, settings: ImportSettings, spool: Spool
    ) -> None:
        self._job = job
        self._db = db
        self._source = source
        self._settings = settings
        self._spool = spool
        self._identity = identity_of(settings)
        self._roster = Roster(db, job.import_id, self._identity)
        self._links = Links(db, self._roster, job.import_id)

    async def stream(self, progress: Callable[[float], None], stopping: Callable[[], bool], batch_rows: int) -> None:
        """Read the file to its end and write what it says. Raises FileError, TryAgain, Stopped."""
        self._reader = await asyncio.to_thread(
            CsvReader, self._source.chunks(), **self._settings.form, batch_rows=batch_rows
        )
        await self._tell_apart()
        await self._roster.open()
        await self._links.open()
        addresses = Addresses(self._db, self._roster)
        await addresses.open()
        rows = await self._db.execute_fetchall("SELECT revision FROM meta")
        (revision,) = next(iter(rows))
        self._reconciler = Reconciler(
            self._reader, self._roster, self._links, addresses, self._spool, self._settings, revision
        )
        await self._reconciler.open()
        while await self._reconciler.run_batch():
            progress(self._reader.bytes_read / max(1, self._source.facts.size))
            if stopping():
                raise Stopped("the server is stopping")

    async def _tell_apart(self) -> None:
        """See to it that users are told apart as the settings say: for this transaction alone, if that is tried."""
        if self._job.trial and "identifier" in self._job.trial.changes:
            await switch_identity(self._db, self._identity)
        else:
            await refuse_switched(self._db, self._identity)

    async def conclude(self) -> Outcome:
        """All rows are in: links, absent users, the guard; and what it all comes to."""
        last = await self._last_applied()
        last_absent = last is not None and last.last_user is not None and await self._is_absent(last.last_user)
        counts = self._reconciler.counts
        if counts.rejected < counts.rows or self._reconciler.any_waits:
            await self._reconciler.finish()
            if self._settings.invitations != "off":
                counts.invitations = await invite(self._db, self._job.import_id)
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
            async for touched in self._touched():
                await asyncio.to_thread(self._spool.touch, touched)
        active = self._roster.active_before + counts.created + counts.reactivated - counts.deactivated
        return Outcome(state, counts, facts, tuple(self._spool.first), why, guard, active)

    async def record(self, outcome: Outcome) -> None:
        """The import is remembered as applied: after a crash, this is what decides whether it happened."""
        await self._db.execute(
            "INSERT INTO applied (import_id, applied_at, outcome, rows, last_user, compared)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._job.import_id,
                rfc3339(self._job.now),
                json.dumps(outcome.to_json()),
                outcome.counts.rows,
                await self._roster.last_active(),
                not self._reader.header.is_correction,
            ),
        )

    def _every_row_rejected(self, facts: FileFacts) -> Outcome:
        message = "Every row was rejected, so nothing was changed. Correct the rows as their messages say."
        problem = Problem(Severity.ERROR, "every_row_rejected", message)
        self._spool.say([problem])
        counts = Counts(rejected=facts.rows or 0, warnings=self._spool.warnings)
        return Outcome(ImportState.FAILED, counts, facts, tuple(self._spool.first), message)

    async def _last_applied(self) -> LastApplied | None:
        rows = await self._db.execute_fetchall(
            "SELECT rows, last_user FROM applied WHERE compared = 1 AND undone IS NULL"
            " ORDER BY applied_at DESC, import_id DESC LIMIT 1"
        )
        return next((LastApplied(*row) for row in rows), None)

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
        others = approval is not None and await self._deactivates_others(approval)
        waived = approval.reasons if approval else ()
        if not others and all(reason in waived for reason in reasons):
            return None, None
        message = guard_message(reasons, counts, active, truncation, others=others, dry_run=dry_run)
        shown = tuple(reasons) or waived
        return Guard(shown, self._settings.max_deactivations_percent, active, counts.deactivated), message

    async def _deactivates_others(self, approval: Approval) -> bool:
        """Whether somebody would be deactivated who was not on the list that was approved."""
        rows = await self._db.execute_fetchall(
            "SELECT user_id FROM changes WHERE import_id = ? AND field = 'state' AND new = 'deactivated'",
            (self._job.import_id,),
        )
        return any(row[0] not in approval.users for row in rows)

    async def _touched(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Whom this import would touch, and how: read from its own changes before they are rolled back."""
        query = """
            SELECT c.user_id, u.email, u.external_id, u.first_name || ' ' || u.last_name AS name, u.state,
                max(c.field = 'created') AS created, max(c.field = 'state') AS moved
            FROM changes AS c JOIN users AS u ON u.id = c.user_id
            WHERE c.import_id = ? GROUP BY c.user_id ORDER BY c.user_id"""
        async with self._db.execute(query, (self._job.import_id,)) as cursor:
            while rows := list(await cursor.fetchmany(TOUCHED_BATCH)):
                yield [self._touched_entry(row) for row in rows]

    def _touched_entry(self, row: aiosqlite.Row) -> dict[str, Any]:
        action = "updated"
        if row["created"]:
            action = "created"
        elif row["moved"]:
            action = "deactivated" if row["state"] == "deactivated" else "reactivated"
        return {
            "action": action,
            "user_id": None if row["created"] else row["user_id"],
            "identifier": row[self._identity.shown_column],
            "email": row["email"],
            "name": row["name"],
            "absent": action == "deactivated" and not self._roster.line_of(row["user_id"]),
        }


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
