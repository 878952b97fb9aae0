"""The runs of hooks other than `sync_users`, as stored: one for every upload at a hook's path.

The states are those of imports, and so are the changes of state (importer/queue/states.py). A run has these of them:
arriving, queued, running, completed, completed_with_errors, failed, aborted, ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from engine.imports import Row
from engine.landing import Land, LandedFile
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.notices import Notice
from importer.queue.states import RERUN
from importer.worker.retention import FailedRun


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The words of a hook: counts by name, and messages as `Problem.to_json` gives them."""

    counts: dict[str, int]
    messages: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        return {"counts": self.counts, "messages": [*self.messages]}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one tenant. Times are RFC 3339 in UTC; `not_before` is in seconds since 1970.

    `id` counts from 1 for each tenant, over all its hooks, and no id is used twice. `attempts` counts starts since
    the upload or since the last `rerun`. `message` is for the tenant. `error` is the type and first line of the last
    exception, or its like: for the operator only. `claim` is as in `Entry`.
    """

    tenant: str
    id: int
    hook: str
    path: str
    state: ImportState
    sequence: int
    size: int
    uploaded_at: str
    sha256: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    attempts: int = 0
    not_before: float = 0.0
    message: str | None = None
    error: str | None = None
    outcome: RunOutcome | None = None
    claim: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.tenant, self.id

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def run_of(row: Row, outcome: dict[str, Any] | None, claim: int = 0) -> Run:
    """Return the run in a row of the table `runs`, with the outcome in it as JSON."""
    return Run(
        tenant=row["tenant"],
        id=row["id"],
        hook=row["hook"],
        path=row["path"],
        state=ImportState(row["state"]),
        sequence=row["sequence"],
        size=row["size"],
        uploaded_at=row["uploaded_at"],
        sha256=row["sha256"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        attempts=row["attempts"],
        not_before=row["not_before"],
        message=row["message"],
        error=row["error"],
        outcome=RunOutcome(outcome["counts"], tuple(outcome["messages"])) if outcome else None,
        claim=claim,
    )


def unknown_run(tenant: str, run_id: int) -> Refused:
    """Return the refusal of a run that does not exist."""
    return Refused("unknown_run", f"there is no run {run_id} of {tenant}")


def why_not_rerun(run: Run) -> Refused | None:
    """Return why `run` cannot be run again now; None for a failed run."""
    if run.state in RERUN.begins:
        return None
    which = f"run {run.id} of {run.tenant} is {run.state.words}"
    return Refused("not_failed", f"{which}: only a failed run can be run again")


class RunStore(Protocol):
    """The runs of all tenants. Every method that writes is one transaction, and raises TryAgain as `Queue` does."""

    changed: asyncio.Event
    """Set when this process made a run wait. Changes of other processes are found by polling."""

    # From an upload to a queued run

    @property
    def land(self) -> Land | None:
        """Return what lands a file in one call; None if the files of the engine are not in a folder."""

    async def arriving(self, tenant: str, hook: str, path: str, *, size: int, uploaded_at: datetime) -> int:
        """Create a run for a file whose bytes are safe but not visible yet; return its id. Durable on return.

        Raises Refused if the tenant does not exist.
        """

    async def landed(self, tenant: str, run_id: int) -> None:
        """Queue a published file, last in order. Durable on return. Raises Refused if no arriving run has this id."""

    async def end_upload(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """End an arriving upload that became no run, as `run` describes (aborted, ignored), with its notices."""

    # From queued to an end

    async def claim(self, tenant: str, run_id: int, *, sha256: str | None) -> Run | None:
        """Start the run: `running`, with one more attempt. Not flushed to disk.

        None if it is no longer queued, or if another run of its hook and tenant runs.
        """

    async def requeue(
        self, run: Run, *, message: str | None, error: str | None, not_before: float, counted: bool = True
    ) -> bool:
        """Queue a running run again, at its old place. Without `counted` the start does not count as an attempt.

        False if the run no longer runs. This and the next three methods change only the run that `run` is, never a
        later one of the same id: its tenant may have been removed and added again. Nor do they change a later start.
        """

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        """Let no other server end a run of the tenant in the block. Raises TryAgain. See `Queue.holding`."""

    async def finish(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """Write the end that `run` describes, with its notices. False if the run no longer runs."""

    async def rerun(self, tenant: str, run_id: int) -> Run:
        """Queue a failed run at the end, with no attempts. Raises Refused (`unknown_run`, `not_failed`)."""

    async def explain(self, tenant: str, hook: str, message: str | None) -> None:
        """Say to the tenant why the queued runs of a hook wait. Not flushed to disk."""

    async def published(self, run: Run) -> None:
        """Store that /results shows this state now."""

    async def delete(self, tenant: str, runs: Iterable[int]) -> None:
        """Delete the rows of these runs, except those that wait."""

    # Reads

    async def get(self, tenant: str, run_id: int) -> Run | None:
        """Return the run with this id; None if there is none."""

    async def require(self, tenant: str, run_id: int) -> Run:
        """Return the run with this id. Raises Refused (`unknown_run`) if there is none."""

    async def page(
        self,
        tenant: str,
        *,
        hook: str | None = None,
        state: ImportState | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Run]:
        """Return the runs of a tenant, newest first: only of `hook`, in `state`, of a lower id than `before`."""

    async def heads(self) -> list[Run]:
        """Return the first queued run of each hook of each tenant of which none runs, by sequence.

        It may not be due yet (`not_before`): those behind it wait for it.
        """

    async def cut_off(self) -> list[Run]:
        """Return the runs of all tenants that arrive or run, and whose server has gone, by sequence."""

    async def at_work_here(self) -> list[Run]:
        """Return the runs of all tenants that arrive or run on this server, by sequence."""

    async def with_landed_files(self) -> set[str]:
        """Return the tenants that have `landed_files`."""

    async def landed_files(self, tenant: str) -> list[LandedFile]:
        """Return the files of a tenant that landed in one call and may not be on disk under their names.

        They are in the order in which they landed.
        """

    async def files_kept(self, files: Iterable[LandedFile]) -> None:
        """Delete the bytes of some of these: they are on disk under their names."""

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        """Return the runs of a tenant that still have to read their copies: id, and bytes of the file."""

    async def failed(self, tenant: str) -> list[FailedRun]:
        """Return the failed runs of a tenant, oldest first. Some of their copies may be deleted already."""

    async def newest_published(self, tenant: str, hook: str, limit: int) -> list[int]:
        """Return the ids of the newest runs of `hook` with a report in /results."""

    async def unpublished(self, tenant: str | None = None, *, without: Collection[str] = ()) -> list[Run]:
        """Return the ended runs whose report in /results is behind their state.

        All of a tenant, or the first 100 of all tenants but `without`.
        """

    async def ended_before(self, tenant: str, before: str) -> list[tuple[int, str]]:
        """Return the runs of a tenant that ended before `before` (RFC 3339), oldest first: id and hook."""

    async def first_end(self, tenant: str, since: str = "") -> str | None:
        """Return when the first of the stored runs ended that ended at `since` or later; None if there is none."""

    async def failed_bytes(self, tenant: str) -> int:
        """Return the bytes of the files of the failed runs of a tenant."""

    async def newest_failures(self, limit: int) -> list[Run]:
        """Return the newest failed runs of all tenants, newest first."""

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return how many runs are queued or run, by tenant and hook."""

    # The paths of hooks as they were when their modules last loaded

    async def remember(self, module: str, hooks: Iterable[tuple[str, str]]) -> None:
        """Store the hooks (name, path) of a module that loaded; those it had before are deleted."""

    async def remembered(self, module: str) -> list[tuple[str, str]]:
        """Return the hooks (name, path) that a module had when it last loaded."""
