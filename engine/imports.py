"""Rows of the table `imports` as values, and their states in SQL: the same in every engine. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from importer.model import FileFacts, ImportState, Outcome, Written
from importer.queue.entry import Entry, Past, Waiting
from importer.queue.states import Step
from importer.requests import Approval, DryRunRequest, Undo


class Row(Protocol):
    """A row of a driver: its values by position and by name of the column."""

    def __getitem__(self, key: Any, /) -> Any: ...


def entry_of(row: Row, json_in: Callable[[str], Any], claim: int = 0) -> Entry:
    """Return the import in a row with all columns; `json_in` returns the JSON in a column, None for NULL."""
    outcome, approval = json_in("outcome"), json_in("approval")
    undo, trial = json_in("undo"), json_in("trial")
    return Entry(
        tenant=row["tenant"],
        id=row["id"],
        state=ImportState(row["state"]),
        dry_run=bool(row["dry_run"]),
        sequence=row["sequence"],
        path=row["path"],
        file=FileFacts(row["path"].rsplit("/", 1)[-1], row["size"], row["sha256"], row["rows"]),
        uploaded_at=row["uploaded_at"],
        written=Written.from_json(json_in("written")),
        correction=_known(row["correction"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        attempts=row["attempts"],
        not_before=row["not_before"],
        progress=row["progress"],
        message=row["message"],
        outcome=Outcome.from_json(outcome) if outcome else None,
        approval=Approval.from_json(approval) if approval else None,
        undo=Undo.from_json(undo) if undo else None,
        trial=DryRunRequest.from_json(trial) if trial else None,
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        sent_by=row["sent_by"],
        tested=row["tested"],
        users_as_of=row["users_as_of"],
        claim=claim,
    )


def waiting_of(row: Row) -> Waiting:
    """Return the waiting import in a row of its facts, in the order of `Waiting`."""
    return Waiting(
        *(row[0], row[1], ImportState(row[2]), row[3], bool(row[4]), _known(row[5])),
        *(bool(row[6]), bool(row[7]), bool(row[8]), row[9], row[10]),
        approved=bool(row[11]),
        message=row[12],
    )


def past_of(row: Row) -> Past:
    """Return the import in a row of its facts, in the order of `Past`."""
    return Past(row[0], ImportState(row[1]), bool(row[2]), row[3], row[4], bool(row[5]))


def begins(step: Step) -> str:
    """Return the condition that a row is in a state in which `step` begins."""
    return f"state IN ({', '.join(sorted(repr(state.value) for state in step.begins))})"


def _known(flag: Any) -> bool | None:
    return None if flag is None else bool(flag)
