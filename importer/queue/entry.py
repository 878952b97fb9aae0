"""A row of the queue as a value: all facts of an import, or only those its place in the queue needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ground.moments import rfc3339
from importer.model import Counts, FileFacts, ImportState, Outcome, Written
from importer.report import Report
from importer.requests import Approval, DryRunRequest, Undo


@dataclass(frozen=True, slots=True)
class Waiting:
    """An import that is queued or held, with only the facts that its place in the queue needs: there may be many.

    `hashed`: the hash of its content is known. `correction` is None until the header was read. `approved`: it was
    held, and is approved.
    """

    tenant: str
    id: int
    state: ImportState
    sequence: int
    dry_run: bool
    correction: bool | None = None
    undo: bool = False
    trial: bool = False
    hashed: bool = False
    not_before: float = 0.0
    uploaded_at: str = ""
    approved: bool = False
    message: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.tenant, self.id

    @property
    def held(self) -> bool:
        return self.state is ImportState.HELD


@dataclass(frozen=True, slots=True)
class Past:
    """An import in the queue's history; `finished_at` (RFC 3339) is None until it has ended.

    `applied_number` is its place among the applied imports; None if it was not applied. `correction`: its file was a
    correction file.
    """

    id: int
    state: ImportState
    dry_run: bool
    finished_at: str | None
    applied_number: int | None
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An import of one tenant. Times are RFC 3339 in UTC; `not_before` is in seconds since 1970.

    `correction` is None until the header was read. `attempts` counts starts that did not end. With `undo` the import
    waits for its undo or is being undone; `outcome` is then its result when it was applied. With `trial` it is a
    test: a dry run of a file that did not come over SFTP and is not in the tenant's folder. `sent_by` and `tested`
    are those of its `Sender`. `users_as_of` is, of a dry run, the newest applied import when it ended. `claim` is the
    number of its start, where several servers share a queue.
    """

    tenant: str
    id: int
    state: ImportState
    dry_run: bool
    sequence: int
    path: str
    file: FileFacts
    uploaded_at: str
    written: Written | None = None
    correction: bool | None = None
    started_at: str | None = None
    finished_at: str | None = None
    attempts: int = 0
    not_before: float = 0.0
    progress: float | None = None
    message: str | None = None
    outcome: Outcome | None = None
    approval: Approval | None = None
    undo: Undo | None = None
    trial: DryRunRequest | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    sent_by: str | None = None
    tested: int | None = None
    users_as_of: int | None = None
    claim: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.tenant, self.id

    def ended(self, outcome: Outcome, at: datetime) -> Entry:
        """Return this import as it is after it (or its undo) ended with `outcome`."""
        if self.undo:
            return self._undo_ended(self.undo, outcome)
        file = replace(self.file, sha256=outcome.file.sha256, rows=outcome.file.rows)
        again = outcome.state is ImportState.HELD  # an earlier decision does not apply to the new reasons
        return replace(
            self,
            state=outcome.state,
            file=file,
            finished_at=rfc3339(at),
            progress=None,
            message=outcome.message,
            outcome=outcome,
            approval=None,
            decided_by=None if again else self.decided_by,
            decided_at=None if again else self.decided_at,
        )

    def _undo_ended(self, undo: Undo, outcome: Outcome) -> Entry:
        over = replace(self, progress=None, undo=None)
        if outcome.state is ImportState.UNDONE:
            done = replace(over, state=outcome.state, outcome=outcome, message=outcome.message)
            return replace(done, decided_by=undo.by, decided_at=undo.at)
        before = self.outcome or outcome
        message = f"The undo failed: {outcome.message}"
        if before.message:  # the import stays applied, so its own message still counts
            message = f"{message.removesuffix('.')}. {before.message}"
        return replace(over, state=before.state, message=message)

    def superseded(self, newer: Entry | Waiting, at: datetime) -> Entry:
        """Return this import as it is after `newer` replaced it."""
        message = f"A newer file (import {newer.id}) replaced this one before it was applied; nothing was changed."
        return replace(
            self, state=ImportState.SUPERSEDED, message=message, finished_at=self.finished_at or rfc3339(at)
        )

    def never_ran(self, state: ImportState, message: str, at: datetime) -> Entry:
        """Return this upload as it is after it became no import: `aborted` or `ignored`."""
        return replace(self, state=state, message=message, finished_at=rfc3339(at))

    def report(self, advice: Mapping[str, Any] | None = None) -> Report:
        """Return the report of the import, with `advice` on its file."""
        outcome = self.outcome
        return Report(
            id=self.id,
            tenant=self.tenant,
            state=ImportState.QUEUED if self.state is ImportState.ARRIVING else self.state,
            dry_run=self.dry_run,
            file=self.file,
            uploaded_at=self.uploaded_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            counts=outcome.counts if outcome else Counts(),
            guard=outcome.guard if outcome else None,
            decided_by=self.decided_by,
            decided_at=self.decided_at,
            sent_by=self.sent_by,
            message=self.message,
            advice=advice,
            messages=outcome.messages if outcome else (),
        )
