"""One start of an import: it ends with an outcome, or is queued again.

After an error, and before a checksum makes an import fail, the tenant's own database is asked first whether the
import was applied (`known_end`). So an import that was committed never runs again and is never called failed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from ground.moments import Clock
from importer.archive import LOCAL, Archive
from importer.errors import DatabaseDamaged, DatabaseUnusable, ImporterError, Refused, Stopped, TryAgain
from importer.folder import FolderOf, TenantFolder
from importer.model import Counts, GuardReason, ImportState, Outcome, Problem, Severity
from importer.queue.checksum import Verdict
from importer.queue.checksums import Checksums, Compared
from importer.queue.entry import Entry
from importer.queue.pause import Pause, waits_by
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.requests import DryRunRequest, Undo
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.undo.undo import UndoJob, undo_import
from importer.users.users import Users, UsersOf
from importer.worker.advising import Advising, Ended

log = logging.getLogger(__name__)

INTERNAL_ERROR = (
    "Headcount failed with an internal error, and nothing was changed. Tell the operator: the log has the cause."
)
NO_LONGER_FIT = (
    "The settings changed after this test was started, and the settings of the test no longer fit them. "
    "Start the test again."
)
PASSING = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EROFS),
    *(errno.ETIMEDOUT, errno.EAGAIN),
}
"""Temporary lacks of the machine: descriptors, memory, a disk or a mount."""

UNUSABLE = "the data of this company cannot be used at the moment"
TENANT_BROKEN = f"Not yet: {UNUSABLE}. The import runs as soon as the operator has fixed it."
"""The message of an import that waits because its tenant is broken."""
NOT_READ = (
    "Not yet: the server cannot read the file to compare it with its checksum. The server tries again for 1 hour."
)


def no_space_yet(why: str) -> str:
    """Return the message of an import that waits for disk space."""
    return f"Not yet: {why}. The server tries again."


UNDO_ERROR = "internal error in Headcount; nothing was changed. Tell the operator: the log has the cause."


SettingsOf = Callable[[str], Awaitable[ImportSettings]]
PauseOf = Callable[[ImportSettings, datetime], Pause | None]


class Soundness(Protocol):
    """Knows which tenants are broken (`server.tenants.soundness`)."""

    def why(self, tenant: str) -> str | None:
        """Return why the tenant is broken; None if it is not, as far as is known."""

    async def look(self, tenant: str, error: BaseException | None = None) -> str | None:
        """Check the tenant now, because of `error`; return why it is broken, None if it is not."""


class AllSound:
    """A `Soundness` that knows of no broken tenant."""

    def why(self, tenant: str) -> str | None:
        return None

    async def look(self, tenant: str, error: BaseException | None = None) -> str | None:
        return None


class RunImport(Protocol):
    """`importer.reconcile.run.run_import`, or a test's replacement."""

    def __call__(
        self,
        job: Job,
        users: Users,
        settings: ImportSettings,
        messages: Path,
        *,
        progress: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> Awaitable[Outcome]: ...


ALL_SOUND = AllSound()


@dataclass(frozen=True, slots=True)
class Later:
    """The import is queued again: at once, or after a delay for the reason in `message`.

    `broken`: the tenant is broken, and its repair is the only delay.
    """

    message: str | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts imports. `run` is `importer.reconcile.run.run_import`, or a test's replacement."""

    folder_of: FolderOf
    users_of: UsersOf
    settings_of: SettingsOf
    clock: Clock
    checksums: Checksums
    run: RunImport = run_import
    soundness: Soundness = ALL_SOUND
    why_not_stored: Callable[[str], str | None] = lambda _: None
    """Returns why nothing of a tenant can be stored now, None if it can: its imports wait meanwhile."""
    advising: Advising | None = None
    """Makes advice on the files; None: no advice is made."""
    pause_of: PauseOf = lambda settings, now: None
    """Returns the pause that the settings of a tenant say at a time, None if they say none."""
    archive: Archive = LOCAL

    def pause_now(self, settings: ImportSettings) -> Pause | None:
        """Return the pause of the tenant with these settings; None if its feed is not paused now."""
        return self.pause_of(settings, self.clock())

    async def compare(self, entry: Entry, settings: ImportSettings) -> Compared:
        """Compare `entry` with the checksums that arrived so far. A test has no checksum.

        Files that came by the page or the API need none: there the checksum is checked before a file lands.
        """
        if entry.trial:
            return Compared(Verdict.SILENT)
        required = settings.require_checksum and entry.sent_by is None
        return await self.checksums.compare(entry, required=required, now=self.clock())

    async def attempt(
        self,
        entry: Entry,
        *,
        progress: Callable[[float], None],
        stopping: Callable[[], bool],
        ended: Callable[[], None] = lambda: None,
    ) -> Outcome | Later:
        """Run `entry` once. Every error is in the result, or is logged if it is an error of Headcount.

        `ended` is called when the import has ended and only the advice on its file is still to be made.
        """
        folder, users = self.folder_of(entry.tenant), self.users_of(entry.tenant)
        try:
            settings = await self.settings_of(entry.tenant)
            if entry.trial:
                settings = tried(settings, entry.trial)
            if entry.undo:
                return await self._undone(entry, entry.undo, users, settings, progress=progress, stopping=stopping)
            if waits_by(self.pause_now(settings), entry):
                return Later()  # paused since it was claimed
            compared = await self.compare(entry, settings)
            if compared.verdict is Verdict.WAITS:
                return Later()
            if compared.verdict is Verdict.UNREAD and not compared.end:
                return await self._not_read(entry, compared)
            if compared.end:
                return await known_end(users, entry) or compared.end
            async with self.archive.held(folder, folder.copy(entry.id)):
                return await self._ran(entry, users, settings, compared, ended, progress=progress, stopping=stopping)
        except (Exception, asyncio.CancelledError) as error:
            try:
                return await known_end(users, entry) or await self._not_applied(entry, error)
            except TryAgain as unknown:
                return _what_it_means(entry, unknown)

    async def _ran(
        self,
        entry: Entry,
        users: Users,
        settings: ImportSettings,
        compared: Compared,
        ended: Callable[[], None],
        *,
        progress: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> Outcome | Later:
        """Run an import whose copy is at its path, and have advice made on it."""
        began, folder = time.monotonic(), self.folder_of(entry.tenant)
        job = self._job(entry, folder, proven_complete=compared.verdict is Verdict.FITS)
        with self.advising.importing() if self.advising else nullcontext():
            async with self.archive.making(folder) as made:
                keep = partial(self.archive.keep, made, *made.messages_of(entry.id))
                run, messages = replace(job, keep=keep), made.messages
                outcome = await self.run(run, users, settings, messages, progress=progress, stopping=stopping)
        if entry.trial:
            outcome = replace(outcome, settings=settings.fingerprint)
        if outcome.guard and GuardReason.POSSIBLY_TRUNCATED in outcome.guard.reasons:
            meanwhile = await self.compare(replace(entry, file=outcome.file), settings)
            if meanwhile.verdict is not compared.verdict:
                return Later()  # a checksum arrived while it ran: the next start compares it
        ended()
        if self.advising:
            await self.advising.begin(Ended(entry, job, settings, outcome, time.monotonic() - began))
        return outcome

    async def _undone(
        self,
        entry: Entry,
        undo: Undo,
        users: Users,
        settings: ImportSettings,
        *,
        progress: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> Outcome:
        async with self.archive.making(self.folder_of(entry.tenant)) as made:
            keep = partial(self.archive.keep, made, made.left(entry.id))
            job = UndoJob(entry.tenant, entry.id, undo.by, identity_of(settings), self.clock(), keep)
            return await undo_import(job, users, made.messages, progress=progress, stopping=stopping)

    async def copy(self, tenant: str, import_id: int) -> Path:
        """Return the path of the copy of an import, where it is now. Raises OSError, TryAgain."""
        folder = self.folder_of(tenant)
        copy = folder.copy(import_id)
        await self.archive.fetch(folder, copy)
        return copy

    def beginning(self, tenant: str, import_id: int, most: int) -> AbstractAsyncContextManager[Path]:
        """Yield the path of a file with at least the first `most` bytes of the copy of an import, or all of it.

        Raises OSError, TryAgain.
        """
        folder = self.folder_of(tenant)
        return self.archive.beginning(folder, folder.copy(import_id), most)

    def _job(self, entry: Entry, folder: TenantFolder, *, proven_complete: bool) -> Job:
        return Job(
            tenant=entry.tenant,
            import_id=entry.id,
            file=folder.copy(entry.id),
            name=entry.file.name,
            dry_run=entry.dry_run,
            written=entry.written,
            approval=entry.approval,
            now=self.clock(),
            proven_complete=proven_complete,
            trial=entry.trial,
            copy_of=partial(self.copy, entry.tenant),
        )

    async def _not_read(self, entry: Entry, compared: Compared) -> Later:
        """Queue an import again whose file is not compared with its checksum yet: the next look reads the file."""
        if not compared.failed:
            return Later()
        if await self.soundness.look(entry.tenant):
            return Later(TENANT_BROKEN, broken=True)
        return Later(NOT_READ)

    async def _not_applied(self, entry: Entry, error: BaseException) -> Outcome | Later:
        """Decide what follows an import that `error` ended: an import never fails because its tenant is broken."""
        if not isinstance(error, Stopped | asyncio.CancelledError | TryAgain | Refused):
            try:
                if await self.soundness.look(entry.tenant, error):
                    return Later(TENANT_BROKEN, broken=True)
            except Exception:  # other tenants may be affected too
                log.exception(
                    "Tenant %s cannot be checked; retrying its import.",
                    entry.tenant,
                    extra={"event": "tenants_unseen", "tenant": entry.tenant},
                )
                return Later(f"Not yet: {UNUSABLE}. The server tries again.")
        return _what_it_means(entry, error)


async def known_end(users: Users, entry: Entry) -> Outcome | None:
    """Return how the import, or its undo, ended if it was applied: the tenant's own database knows.

    If what is stored of the import cannot be read, it counts as not applied. That is safe: the database takes each id
    only once. Raises TryAgain if the database cannot be read now: the import may have been applied.
    """
    try:
        return await (users.outcome_of_undo if entry.undo else users.outcome_of)(entry.id)
    except TryAgain:
        raise
    except Exception as error:
        if isinstance(error, DatabaseUnusable) and not isinstance(error, DatabaseDamaged):
            return None  # reported with the broken tenants
        log.error(
            "The users of %s cannot be read (%s).",
            *(entry.tenant, error),
            exc_info=error,
            extra={"event": "users_unreadable", "tenant": entry.tenant},
        )
        return None


def tried(settings: ImportSettings, trial: DryRunRequest) -> ImportSettings:
    """Return the current settings with those of the test. Raises Refused if they no longer fit."""
    try:
        return settings.with_changes(trial.changes)
    except ValueError:
        raise Refused("settings_changed", NO_LONGER_FIT) from None


def _what_it_means(entry: Entry, error: BaseException) -> Outcome | Later:
    """Return the result of an import that was not applied because of `error`."""
    if isinstance(error, Stopped | asyncio.CancelledError):
        return Later()
    if isinstance(error, TryAgain):
        return Later(f"Not yet: {error.message}. The server tries again.")
    if isinstance(error, Refused):  # something changed after the request
        return Outcome(ImportState.FAILED, Counts(), entry.file, (), error.message)
    passing = isinstance(error, OSError) and error.errno in PASSING
    if passing or isinstance(error, DatabaseUnusable):  # the tenant was just found sound: the cause may be over
        if isinstance(error, DatabaseDamaged):
            log.error(
                "Import %d of %s was not applied (%s); retrying.",
                *(entry.id, entry.tenant, error),
                exc_info=error,
                extra={"event": "import_unsound", "tenant": entry.tenant, "import_id": entry.id},
            )
        return Later(f"Not yet: {UNUSABLE}. The server tries again.")
    log.error(
        "Import %d of %s failed: internal error.",
        *(entry.id, entry.tenant),
        exc_info=error,
        extra={"event": "import_fault", "tenant": entry.tenant, "import_id": entry.id},
    )
    code, message = "internal_error", UNDO_ERROR if entry.undo else INTERNAL_ERROR
    if isinstance(error, ImporterError):
        code, message = error.code, f"{error}; nothing was changed."
    return Outcome(ImportState.FAILED, Counts(), entry.file, (Problem(Severity.ERROR, code, message),), message)
