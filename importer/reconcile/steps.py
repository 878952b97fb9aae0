"""The steps of one import inside its transaction: apply the rows, then count, and decide whether it is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ground.words import as_sentence, listed
from importer.errors import FileError, Stopped
from importer.file.blocks import PreviousFile, Unsure
from importer.file.reader import CsvReader
from importer.file.sidebyside import PIECES, Pieces, SideBySide
from importer.messages.oneperson import Renamed, many_renamed, perhaps_the_same, what_keeps_them, would_rename
from importer.messages.repeated import notes_of
from importer.messages.spool import Spool, Touched
from importer.messages.whole_file import look_first
from importer.model import (
    Counts,
    FileFacts,
    Guard,
    GuardReason,
    ImportState,
    Outcome,
    Problem,
    Severity,
)
from importer.reconcile.before import can_be_compared, file_kept, load_before, salt_of
from importer.reconcile.beside import Beside, Reading, Task
from importer.reconcile.job import Job, Source, read_again
from importer.reconcile.leaving import most_are_leavers, most_leave, no_admin_left, past_before
from importer.reconcile.plan import Completeness, guard_message, guard_reasons, reasons_of_truncation, why_held
from importer.reconcile.reconcile import Reconciler
from importer.reconcile.tables import Tables
from importer.rules.settings import ImportSettings
from importer.users.importing.applied import ChangedUser


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a file is read: rows in a batch, the size from which a second process reads a first file, and `pieces`.

    The file is cut into `pieces` to compare it with the previous one; None: without that file.
    """

    batch_rows: int
    beside_bytes: int
    pieces: Pieces | None


@dataclass(frozen=True, slots=True)
class Held:
    """Why an import is held: as a value, as its message, and one fact a sentence."""

    guard: Guard
    message: str
    why: tuple[str, ...]


class Steps:
    """The steps of one import inside its transaction.

    Theory of `conclude`: the guard judges what the import has done, not what it will do. So every change of a user
    comes before the guard, and after it only the record of the applied import is written. The order of the steps
    matters:

    - Whether the last user of the previous file is absent is checked first: `finish` deactivates absent users, and
      then an absent user looks like any leaver.
    - If every row is rejected, `finish` has nothing to do, and no user counts as absent. But only `finish` judges
      rows that wait for an address. So it runs if any row waits, and rejected rows are counted again after it.
    - Users who may be one person are found after `finish`, for the same reason, and before the guard.
    - Invitations come after `finish`: they depend on all changes, including addresses and leavers.
    - The message that many users may exist under another identifier comes after the guard: its advice depends on
      whether the import is applied.
    - The message that the file may be incomplete comes once: from the guard if absent users would be deactivated,
      else as a warning. So the warning comes after the guard, and warnings are counted again.
    - The users that a held import or a dry run would change are read last from its changes, before the rollback
      removes them. The spool stores them in a file.
    - The number of active users is computed from the number at the start, to avoid counting the users again.
    """

    def __init__(
        self,
        job: Job,
        source: Source,
        settings: ImportSettings,
        spool: Spool,
        tables: Tables,
        sizes: Sizes,
    ) -> None:
        self._job = job
        self._source = source
        self._settings = settings
        self._spool = spool
        self._tables = tables
        self._roster = tables.roster
        self._applied = tables.keeps.applied
        self._before = tables.keeps.before
        self._sizes = sizes
        self._salt: bytes | None = None
        self._reading: Reading | None = None

    async def stream(self, progress: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        """Read the file to its end and write its rows. Raises FileError, TryAgain, Stopped.

        Raises Unsure if the file must be read again, without the previous one.
        """
        batch_rows = self._sizes.batch_rows
        side_by_side = SideBySide(self._source.chunks(), self._sizes.pieces or PIECES)
        self._reader = await asyncio.to_thread(CsvReader, side_by_side, **self._settings.form, batch_rows=batch_rows)
        # A dry run with another identifier uses it for this transaction only.
        tried = self._job.trial is not None and "identifier" in self._job.trial.changes
        await self._tables.keeps.users.use_identity(tried=tried)
        await self._roster.open(self._source.facts.size)
        tables = self._tables
        before = await self._file_before()
        side_by_side.begin(before, left_out=self._settings.skip_last_lines)
        beside = self._roster.is_first and self._job.sample is None
        if beside and self._source.facts.size >= self._sizes.beside_bytes:
            self._reading = await asyncio.to_thread(self._read_beside)
        self._reconciler = Reconciler(
            self._reader,
            self._roster,
            tables.links,
            tables.addresses,
            tables.later,
            self._spool,
            self._settings,
            self._job.now,
            partial(read_again, self._job.file, self._settings, batch_rows),
            self._reading,
        )
        # A dry run reports all messages about the header, also those reported for the previous file.
        says_all = self._job.dry_run and not self._job.only_news
        notes = () if says_all else await self._applied.header_notes()
        try:
            await self._reconciler.open(notes)
            while await self._reconciler.run_batch():
                progress(self._reader.bytes_read / max(1, self._source.facts.size))
                if stopping():
                    raise Stopped("the server is stopping")
                if self._job.sample is not None:
                    self._reconciler.end_after(self._job.sample)
        except FileError as error:
            if before:
                raise Unsure from error
            raise
        finally:
            if before:
                before.close()

    async def _file_before(self) -> PreviousFile | None:
        """Return the previous file, if this one can be compared with it."""
        header, encoding = self._reader.header, self._reader.encoding
        if can_be_compared(encoding) and not header.is_correction:
            self._salt = salt_of(self._roster.revision, header, self._settings, encoding)
        if not header.is_correction:
            await self._before.stop_recording_touched()
        if self._salt is None or self._job.copy_of is None or self._sizes.pieces is None:
            return None
        before = await load_before(self._before, self._salt, past_before(self._job.now), self._job.copy_of)
        if before:
            await self._roster.expect_known()
        return before

    def _read_beside(self) -> Reading | None:
        past, pieces = past_before(self._job.now), self._sizes.pieces or PIECES
        beside = Beside.start(Task(self._job.file, self._settings, past, self._sizes.batch_rows, pieces))
        return Reading(beside, self._reader, self._source, self._settings, past) if beside else None

    def close(self) -> None:
        """Stop the second process, if there is one."""
        if self._reading:
            self._reading.close()

    async def conclude(self) -> Outcome:
        """Do the work after the last row, and return the outcome: links, absent users, the guard."""
        last = await self._applied.last()
        last_absent = last is not None and last.last_user is not None and await self._is_absent(last.last_user)
        counts = self._reconciler.counts
        renamed = Renamed()
        if counts.rejected < counts.rows or self._reconciler.any_waits:
            await self._reconciler.finish()
            renamed = await self._compare(counts)
            if self._settings.invitations != "off":
                counts.invitations = await self._applied.invite()
        else:
            self._reconciler.say_of_the_file()
        await self._look_at_all(counts)
        facts = replace(self._source.facts, rows=counts.rows)
        if self._job.sample is None:
            facts = await asyncio.to_thread(self._source.read_out, counts.rows)
        if counts.rejected == counts.rows:
            return self._every_row_rejected(facts)
        if last_absent and last is not None:
            last_absent = not await self._tables.pairs.has(last.last_user)
        completeness = Completeness(self._reader.ends_with_newline, self._job.written, counts.rows, last, last_absent)
        vouched_for = self._reader.header.is_correction or self._job.proven_complete
        truncation = [] if vouched_for else reasons_of_truncation(completeness, self._settings)
        held = await self._guard(counts, truncation, renamed)
        guard = held.guard if held else None
        if renamed.are_many(counts.deactivated):
            applied = not guard and not self._job.dry_run
            self._spool.say([many_renamed(renamed, self._settings, applied=applied)])
            counts.warnings = self._spool.warnings
        if truncation and not counts.deactivated_absent and (unsaid := self._unsaid(completeness)):
            self._spool.say([_possibly_truncated(unsaid)])
            counts.warnings = self._spool.warnings
        state = ImportState.HELD if guard else _state_of(counts)
        if guard or self._job.dry_run:
            async for changed in self._applied.changed():
                await asyncio.to_thread(self._spool.touch, map(self._touched, changed))
        active = self._roster.active_before + counts.created + counts.reactivated - counts.deactivated
        said = GuardReason.IDENTIFIERS_CHANGED if guard and GuardReason.IDENTIFIERS_CHANGED in guard.reasons else ""
        look = look_first(
            self._spool.whole_file, "before you decide" if guard and not self._job.dry_run else "", said=said
        )
        message = " ".join(filter(None, (held.message if held else None, look))) or None
        unread = self._reconciler.unread.left
        why = (*held.why, *filter(None, [look])) if held else ()
        return Outcome(state, counts, facts, self._spool.first, message, guard, active, unread, why)

    def _unsaid(self, completeness: Completeness) -> list[str]:
        """Return why the file may be incomplete, without reasons that its rejected rows report already.

        These are an unfinished last row, and rows that do not identify a user.
        """
        told = replace(
            completeness,
            ends_with_newline=completeness.ends_with_newline or self._reader.last_row_unfinished,
            last_user_absent=completeness.last_user_absent and not self._reconciler.unknown_identifiers.count,
        )
        return reasons_of_truncation(told, self._settings)

    async def record(self, outcome: Outcome) -> None:
        """Record the import as applied: after a crash, this record decides whether it happened."""
        await self._roster.index_links()
        compared = not self._reader.header.is_correction
        last_user = await self._roster.last_active() if compared else None
        header = notes_of(self._reader.problems)
        await self._applied.record(outcome, self._job.now, last_user, header, compared=compared)
        if compared:
            users = await asyncio.to_thread(self._roster.named.settled_lines)
            past = past_before(self._job.now)
            file = file_kept(self._job.import_id, self._source.status, outcome.file, self._salt, past)
            await self._before.keep(file, users)

    def _touched(self, user: ChangedUser) -> Touched:
        action = "updated"
        if user.created:
            action = "created"
        elif user.moved:
            action = "deactivated" if user.state == "deactivated" else "reactivated"
        line = self._roster.named.line_of(user.user_id)
        return {
            "action": action,
            "user_id": None if user.created else user.user_id,
            "identifier": user.identifier,
            "email": user.email,
            "name": user.name,
            "absent": action == "deactivated" and not line,
            "line": line or None,
        }

    async def _look_at_all(self, counts: Counts) -> None:
        """Add warnings that no row shows: most rows are leavers, or no active admin is left."""
        found = []
        if counts.ignored > 1 and counts.ignored * 2 > counts.rows and not self._roster.users_before:
            found.append(most_are_leavers(counts.ignored, counts.rows))
        leaving = counts.deactivated - counts.deactivated_absent
        if leaving * 2 > max(counts.rows, self._roster.active_before):
            found += most_leave(leaving, counts.rows, self._reader.header, self._settings)
        if (counts.updated or counts.deactivated) and (admins := await self._applied.former_admins()):
            found.append(no_admin_left(admins))
        self._spool.say(found)
        counts.warnings = self._spool.warnings

    def _every_row_rejected(self, facts: FileFacts) -> Outcome:
        message = "Every row was rejected; nothing was changed. "
        columns = [name for name, rows in self._spool.rejected_for.items() if rows == self._spool.rejected]
        if columns:
            message += f"Each row has an error in {listed(sorted(columns))}. Fix these cells as the messages say."
        else:
            message += "Fix the rows as their messages say."
        problem = Problem(Severity.ERROR, "every_row_rejected", message)
        self._spool.say_first([problem])
        counts = Counts(rejected=facts.rows or 0, warnings=self._spool.warnings)
        return Outcome(ImportState.FAILED, counts, facts, self._spool.first, message)

    async def _compare(self, counts: Counts) -> Renamed:
        """Add warnings about new users who may already exist under another identifier; return their counts."""
        renamed = await self._tables.pairs.find(counts)
        many = renamed.are_many(counts.deactivated)
        async for pairs in self._tables.pairs.each():
            self._spool.say(perhaps_the_same(pair, self._settings, many=many) for pair in pairs)
        counts.warnings = self._spool.warnings
        return renamed

    async def _is_absent(self, user_id: int) -> bool:
        users = await self._roster.load([user_id])
        active = user_id in users and users[user_id]["state"] == "active"
        return active and not self._roster.named.line_of(user_id)

    async def _guard(self, counts: Counts, truncation: list[str], renamed: Renamed) -> Held | None:
        """Return why this import is held; None if it is not.

        An approved import that is held again shows all its reasons, not only the new ones: the next approval waives
        the reasons that it was shown.
        """
        active, dry_run = self._roster.active_before, self._job.dry_run
        settings, many = self._settings, renamed.are_many(counts.deactivated)
        before = self._roster.users_before
        reasons = guard_reasons(counts, active, before, bool(truncation), settings, renamed=many)
        approval = self._job.approval
        others = approval is not None and await self._applied.deactivates_others(approval.users)
        waived = approval.reasons if approval else ()
        if not others and all(reason in waived for reason in reasons):
            return None
        guard = Guard(tuple(reasons), settings.max_deactivations_percent, active, counts.deactivated)
        clauses = why_held(
            guard, counts, settings, truncation, others=others, renamed=would_rename(renamed, settings)
        )
        advice = what_keeps_them(renamed, settings) if many else ""
        message = guard_message(clauses, advice=advice, dry_run=dry_run)
        why = (*map(as_sentence, clauses), *filter(None, [advice]))
        return Held(replace(guard, reasons=guard.reasons or waived), message, why)


def _state_of(counts: Counts) -> ImportState:
    if counts.rejected:
        return ImportState.COMPLETED_WITH_ERRORS
    return ImportState.COMPLETED if counts.changed else ImportState.UNCHANGED


def _possibly_truncated(reasons: list[str]) -> Problem:
    why = " ".join(map(as_sentence, reasons))
    do = "If it is complete, there is nothing to do. If it is not, export it and send it again."
    message = f"The file may be incomplete. {why} {do}"
    return Problem(Severity.WARNING, GuardReason.POSSIBLY_TRUNCATED.value, message)
